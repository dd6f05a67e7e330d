"""`vidrec ingest`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from vidrec.application.ingest import Ingest, Intake, Progress, Source, find_files
from vidrec.application.manifest import read_manifest
from vidrec.cli.console import emit_json, progress, say, stderr
from vidrec.domain.errors import InvalidInput
from vidrec.settings import load_settings

IDLE_HINT_S = 15.0


def command(
    paths: Annotated[list[Path] | None, typer.Argument(help="Video files and folders.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with columns path, external_id, title, category, tags (a;b), url."),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Default: the containing folder's name.")] = None,
    follow: Annotated[bool, typer.Option(help="Wait until all are indexed or failed.")] = True,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Take in video files and folders. Files are read in place; bytes that are there already do nothing. Exit code: 0
    where all are indexed, 1 where some failed."""
    sources = _sources(paths or [], manifest, category)
    from vidrec.bootstrap import open_database, open_queue

    settings = load_settings(data_dir=data)
    database = open_database(settings)
    try:
        ingest = Ingest(database, open_queue(settings, database))
        with progress() as bar:
            task = bar.add_task("reading", total=len(sources), note="")
            intake = ingest.add(sources, progress=lambda done: bar.update(task, completed=done))
        last = follow_to_end(ingest, intake.queued) if follow else None
    except KeyboardInterrupt:
        say("interrupted; what was taken in goes on in the background (run the same command again to follow)")
        raise
    finally:
        database.close()
    _report(intake, last, as_json)
    if intake.unreadable or (last is not None and last.failed):
        raise typer.Exit(1)


def follow_to_end(ingest: Ingest, video_ids: list[str]) -> Progress:
    """Shows progress until every video is indexed or failed, and answers the last of it."""
    last = Progress(0, {}, len(video_ids))
    with progress() as bar:
        task = bar.add_task("indexing", total=len(video_ids), note="")
        spoken = moved = time.monotonic()
        hinted = False
        for now in ingest.follow(video_ids, heartbeat=True):
            if now.done != last.done:
                moved = time.monotonic()
            elif not hinted and time.monotonic() - moved > IDLE_HINT_S and not now.moving:
                say("nothing moves: is a worker running? (`vidrec run`, or `vidrec worker` with encoder and Milvus)")
                hinted = True
            if not stderr.is_terminal and time.monotonic() - spoken > 5 and now.done != last.done:
                say(f"{now.done} of {now.total} done, {len(now.failed)} failed")
                spoken = time.monotonic()
            bar.update(
                task, completed=now.done, total=now.total, note=f"{len(now.failed)} failed" if now.failed else ""
            )
            last = now
    return last


def _sources(paths: list[Path], manifest: Path | None, category: str | None) -> list[Source]:
    if not paths and manifest is None:
        raise InvalidInput("name files or folders to take in, or a --manifest", field="PATH")
    sources = find_files(paths, category=category)
    if manifest is not None:
        from vidrec.adapters.tables import read_table

        sources += read_manifest(read_table(manifest), folder=manifest.absolute().parent, category=category)
    if not sources:
        raise InvalidInput(f"there are no videos in {', '.join(map(str, paths))}", field="PATH")
    return sources


def _report(intake: Intake, last: Progress | None, as_json: bool) -> None:
    failed = [
        {"id": v.id, "file": v.filename, "reason": v.failure_reason, "message": v.failure_message}
        for v in (last.failed.values() if last else ())
    ]
    if as_json:
        emit_json(
            {
                "queued": len(intake.queued),
                "already": len(intake.already),
                "indexed": last.indexed if last else None,
                "failed": failed,
                "unreadable": intake.unreadable,
                "video_ids": list(dict.fromkeys([*intake.queued, *intake.already])),
            }
        )
        return
    for video in failed:
        say(f"failed: {video['file']}: {video['message']} ({video['reason']})")
    for path, reason in intake.unreadable.items():
        say(f"unreadable: {path}: {reason}")
    if last is None:
        say(f"{len(intake.queued)} queued, {len(intake.already)} already there")
    else:
        broken = len(failed) + len(intake.unreadable)
        say(f"{last.indexed} indexed, {len(intake.already)} already there, {broken} failed")
