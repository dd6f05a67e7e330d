"""`vidrec import`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import emit_json, progress, say
from vidrec.settings import load_settings

app = typer.Typer()


@app.callback()
def _group() -> None:
    """Import what users did (CSV or Parquet)."""


@app.command()
def interactions(
    file: Annotated[Path, typer.Argument(help="CSV with a header line, or Parquet.")],
    strict: Annotated[bool, typer.Option("--strict", help="Refuse rows about unknown videos.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Import interactions. Columns: user_id, external_id or video_id, type (impression, view, watch, like, dislike,
    skip, hide), and, where known, ts, fraction, position_s, session_id, recommendation_id, event_id. Importing a file
    twice adds nothing."""
    from vidrec.adapters.tables import read_table
    from vidrec.application.import_interactions import import_interactions
    from vidrec.bootstrap import open_database

    rows = read_table(file)
    database = open_database(load_settings(data_dir=data))
    try:
        with progress() as bar:
            task = bar.add_task("importing", total=None, note="")
            result = import_interactions(
                database, rows, strict=strict, progress=lambda done: bar.update(task, completed=done)
            )
    finally:
        database.close()
    if as_json:
        emit_json(asdict(result))
    else:
        say(
            f"{result.rows} rows: {result.new} new, {result.repeated} imported before, {result.dropped} about deleted "
            f"videos, {result.unknown} about videos that are not in the catalogue"
        )
