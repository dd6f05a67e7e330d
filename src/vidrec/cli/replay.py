"""`vidrec replay`"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidrec.cli.console import emit_json, say, stdout
from vidrec.cli.running import running_settings
from vidrec.settings import load_settings

if TYPE_CHECKING:
    from vidrec.application.replay import Replay


def command(
    recommendation_id: Annotated[str, typer.Argument(help="As `GET /recommend` answers it.")],
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Make a recommendation again: re-rank the recorded candidates, and search for the recorded interests as of today.
    Exit code 1 where the re-ranking gives another order than the recorded one."""
    from vidrec.application.replay import replay
    from vidrec.bootstrap import open_database, open_index

    settings = running_settings(load_settings(data_dir=data))
    with closing(open_database(settings)) as database, closing(open_index(settings)) as index:
        found = replay(recommendation_id.lower(), database=database, index=index)
    if as_json:
        emit_json(_json(found))
    else:
        _show(found)
    if not found.same:
        raise typer.Exit(1)


def _json(found: Replay) -> dict[str, Any]:
    record = found.record
    return {
        "recommendation_id": record.id,
        "userid": record.user_id,
        "created_at": record.created_at.isoformat(),
        "model_version": record.model_version or None,
        "code_version": record.code_version,
        "parameters": dict(record.parameters),
        "same": found.same,
        "gone": found.gone,
        "recorded": [asdict(c) for c in found.recorded],
        "reranked": [asdict(c) for c in found.reranked],
        "today": [asdict(c) for c in found.today],
        "found_again": found.found_again,
    }


def _show(found: Replay) -> None:
    from rich.table import Table
    from rich.text import Text

    record = found.record
    say(f"for {record.user_id}, {record.created_at:%Y-%m-%d %H:%M:%S} UTC, model {record.model_version or 'none'}")
    if not found.recorded:
        say("nothing was found for interests: the list was popular and fresh videos, and there is nothing to re-rank")
        return
    rows = max(len(found.today), min(len(found.recorded), int(record.parameters.get("n", 20))))
    table = Table("", "recorded", "re-ranked", "nearest today", box=None, pad_edge=False)
    for i in range(rows):
        cells = [
            Text(found.titles.get(c[i].video_id, "(deleted)")) if i < len(c) else Text("")
            for c in (found.recorded, found.reranked, found.today)
        ]
        table.add_row(str(i + 1), *cells)
    stdout().print(table)
    if found.same:
        say(f"the same: re-ranking the {len(found.recorded)} recorded candidates gives the recorded order")
    elif found.gone:
        say(f"not the same: {found.gone} of {len(found.recorded)} recorded candidates were deleted since")
    else:
        say("not the same: re-ranking the recorded candidates gives another order (vectors or code have changed)")
    say(f"of the {len(found.today)} nearest today, before re-ranking, {found.found_again} were on the recorded page")
