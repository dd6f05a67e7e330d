"""`vidrec upload`"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from vidrec.application.ingest import find_files
from vidrec.cli.console import emit_json, say, stderr
from vidrec.client import LARGE, Client, Details
from vidrec.domain.errors import InvalidInput, VidrecError

_MIB = 1 << 20


@dataclass(slots=True)
class _Outcome:
    file: str
    size: int
    video_id: str | None = None
    stage: str = "refused"
    message: str | None = None

    @property
    def failed(self) -> bool:
        return self.stage in ("refused", "failed")


def command(
    paths: Annotated[list[Path], typer.Argument(help="Video files and folders.")],
    url: Annotated[str, typer.Option(help="Address of the API.")] = "http://127.0.0.1:3000",
    bucket: Annotated[str, typer.Option(help="Where the bytes are kept.")] = "videos",
    category: Annotated[str | None, typer.Option(help="Of all of them.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Of all of them; repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all can be recommended.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at a time.")] = 3,
    parts_above: Annotated[int, typer.Option(min=1, help="Files over so many MiB are sent in parts.")] = LARGE // _MIB,
    key: Annotated[
        str | None, typer.Option(envvar="VIDREC_API_KEY", help="A producer key, where the API asks for one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Upload video files and folders to a running system. Run again after a cut, large files go on where they were.
    Exit code: 0 where all went well, 1 where some failed."""
    files = [source.path for source in find_files(paths)]
    if not files:
        raise InvalidInput(f"there are no videos in {', '.join(map(str, paths))}", field="PATH")
    details = Details(bucket=bucket, category=category, tags=tuple(tag or ()))
    with Client(url, key=key) as client, _bars() as bars, ThreadPoolExecutor(jobs) as pool:
        sending = [pool.submit(_send, client, file, details, wait, parts_above * _MIB, bars) for file in files]
        try:
            for done in as_completed(sending):
                done.result()
        except KeyboardInterrupt:
            for waiting in sending:
                waiting.cancel()
            client.end()
            say("interrupted: run the same command again to go on")
            raise
        outcomes = [future.result() for future in sending]
    _report(outcomes, as_json)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def _send(client: Client, file: Path, details: Details, wait: bool, large: int, bars: Progress) -> _Outcome:
    outcome = _Outcome(str(file), 0)
    bar = bars.add_task(_short(file), total=None)
    try:
        outcome.size = file.stat().st_size
        bars.update(bar, total=outcome.size)
        outcome.video_id = client.upload(file, details, sent=lambda more: bars.advance(bar, more), large=large)
        outcome.stage = "queued"
        if wait:
            _wait(client, outcome, bars, bar)
    except (VidrecError, OSError) as error:
        outcome.message = str(error)
    bars.update(bar, description=f"{_short(file)}  {outcome.stage}")
    return outcome


def _wait(client: Client, outcome: _Outcome, bars: Progress, bar: TaskID) -> None:
    assert outcome.video_id is not None
    for video in client.follow(outcome.video_id):
        outcome.stage = video["stage"]
        progress = video["progress"] or {}
        share = f" {progress['done']} of {progress['total']} s" if progress.get("total") else ""
        if ranges := progress.get("ranges"):
            share += f", {ranges['done']} of {ranges['total']} parts"
        bars.update(bar, description=f"{_short(Path(outcome.file))}  {outcome.stage}{share}")
        if video["failure"]:
            outcome.message = video["failure"]["message"]


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )


def _report(outcomes: Sequence[_Outcome], as_json: bool) -> None:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.stage] = counts.get(outcome.stage, 0) + 1
    if as_json:
        emit_json({"counts": counts, "files": [asdict(outcome) for outcome in outcomes]})
        return
    if len(outcomes) > 1 and stderr.is_terminal:
        table = Table("file", "size", "stage", "video", "")
        for o in outcomes:
            table.add_row(_short(Path(o.file)), f"{o.size / _MIB:.1f} MiB", o.stage, o.video_id, o.message or "")
        stderr.print(table)
    else:
        for o in outcomes:
            say("  ".join(filter(None, (o.file, o.stage, o.video_id, o.message))))
    say(", ".join(f"{count} {stage}" for stage, count in counts.items()))


def _short(file: Path) -> str:
    name = file.name.encode("utf-8", "replace").decode()
    return name if len(name) <= 40 else f"{name[:37]}..."
