"""`vidrec ingest`"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidrec.application.ingest import Ingest, Intake, Progress, Source, find_files
from vidrec.application.ingest_bucket import BucketIngest, Shard, parse_shard
from vidrec.application.manifest import read_manifest
from vidrec.cli.console import emit_json, progress, say, stderr
from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from vidrec.application.ports import Database

IDLE_HINT_S = 15.0


def command(
    paths: Annotated[list[str] | None, typer.Argument(help="Video files and folders, or s3://bucket/prefix.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with columns path, external_id, title, category, tags (a;b), url."),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Default: the containing folder's name.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Of s3:// alone: take part i of n, i from 0; auto/n in an Indexed Job of Kubernetes."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Wait until all are indexed or failed.")] = True,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Take in video files and folders, or what is in a bucket. Files and objects are read in place; what is there
    already does nothing, so that the same command goes on after a cut. Exit code: 0 where all are indexed, 1 where some
    failed."""
    from vidrec.bootstrap import open_database, open_queue

    buckets = [path for path in paths or [] if path.startswith("s3://")]
    part = _shard(shard, buckets)
    files = [Path(path) for path in paths or [] if not path.startswith("s3://")]
    sources = [] if buckets and not files and manifest is None else _sources(files, manifest, category)
    settings = load_settings(data_dir=data)
    database = open_database(settings)
    try:
        ingest = Ingest(database, open_queue(settings, database))
        with progress() as bar:
            task = bar.add_task("reading", total=len(sources), note="")
            intake = ingest.add(sources, progress=lambda done: bar.update(task, completed=done))
        if buckets:
            _add_buckets(settings, database, buckets, part, category, intake)
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


def _shard(text: str | None, buckets: list[str]) -> Shard:
    if text is None:
        return Shard()
    if not buckets:
        raise InvalidInput("--shard goes with s3://bucket/prefix alone", field="shard")
    return parse_shard(text, os.environ.get("JOB_COMPLETION_INDEX"))


def _add_buckets(
    settings: Settings, database: Database, urls: list[str], shard: Shard, category: str | None, intake: Intake
) -> None:
    from vidrec.bootstrap import open_library, open_queue

    library = open_library(settings)
    ingest = BucketIngest(database, open_queue(settings, database))
    for url in urls:
        with progress() as bar:
            task = bar.add_task(f"listing {url}", total=None, note="")
            added = ingest.add(
                library.list(url),
                shard=shard,
                category=category,
                progress=lambda seen, bar=bar, task=task: bar.update(task, completed=seen),  # type: ignore[misc]
            )
        intake.queued += added.queued
        intake.already += added.already


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
