"""Taking in files: each becomes a video and a job, in one transaction; bytes that are already there do nothing."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidrec.application.jobs import index_job
from vidrec.application.ports import Database, JobQueue, UnitOfWork
from vidrec.domain.errors import Conflict, InvalidInput
from vidrec.domain.models import NewVideo, Video, VideoStatus

VIDEO_SUFFIXES = frozenset(
    {".webm", ".mp4", ".mkv", ".mov", ".avi", ".ogv", ".m4v", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".gif", ".3gp"}
)
"""What is taken from folders; a file that is named itself may be called anything."""
FILES_A_TRANSACTION = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file to take in, with what is known of it."""

    path: Path
    external_id: str | None = None
    title: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None


@dataclass(slots=True)
class Intake:
    """What became of the files."""

    queued: list[str] = field(default_factory=list)
    """Ids of the videos that wait to be indexed: new ones, failed ones that are tried again, those of another model."""
    already: list[str] = field(default_factory=list)
    """Ids of the videos whose bytes were there."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path -> why the file could not be read."""

    @property
    def video_ids(self) -> list[str]:
        return [*self.queued, *self.already]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the videos of an intake are."""

    indexed: int
    failed: Mapping[str, Video]
    """Video id -> the video, for those that failed."""
    total: int
    moving: bool = True
    """Whether some video is being processed right now."""

    @property
    def done(self) -> int:
        return self.indexed + len(self.failed)


def find_files(paths: Sequence[Path], *, category: str | None = None) -> list[Source]:
    """The files to take in: named ones, and all videos below named folders, hidden ones left out, sorted. The category
    defaults to the name of the containing folder. InvalidInput where a path does not exist, before anything happens."""
    for path in paths:
        if not path.exists():
            raise InvalidInput(f"{path}: no such file or folder", field=str(path))
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_videos_below(path) if path.is_dir() else [path]))
    files = [Path(os.path.abspath(path)) for path in found]
    return [Source(path=file, category=category or file.parent.name or None) for file in files]


def _videos_below(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(parent, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES
        ]
    return found


class Ingest:
    """The use case of taking in local files, which are read in place and never changed."""

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._database = database
        self._queue = queue

    def add(self, sources: Iterable[Source], *, progress: Callable[[int], None] = lambda done: None) -> Intake:
        """Makes a video and a job of each file whose bytes are not there yet; a failed video and one indexed by another
        model than the active one get a new job. `progress(done)` is called after each file. Safe to run again, also
        after it was cut short. Conflict where an external id is another video's."""
        intake = Intake()
        done = 0
        batch: list[Source] = []
        for source in sources:
            batch.append(source)
            if len(batch) == FILES_A_TRANSACTION:
                self._add_batch(batch, intake, lambda n, done=done: progress(done + n))  # type: ignore[misc]
                done += len(batch)
                batch = []
        self._add_batch(batch, intake, lambda n: progress(done + n))
        return intake

    def follow(self, video_ids: Sequence[str], *, every_s: float = 0.3, heartbeat: bool = False) -> Iterator[Progress]:
        """How far these videos are, now and whenever that changed (with `heartbeat` also when not, at each look), until
        each is indexed, failed or deleted."""
        waiting = list(dict.fromkeys(video_ids))
        total, indexed = len(waiting), 0
        failed: dict[str, Video] = {}
        last = -1
        while True:
            with self._database.snapshot() as uow:
                videos = uow.catalogue.get(waiting)
            still = []
            for video_id in waiting:
                video = videos.get(video_id)
                if video is None:
                    total -= 1
                elif video.status is VideoStatus.INDEXED:
                    indexed += 1
                elif video.status is VideoStatus.FAILED:
                    failed[video_id] = video
                else:
                    still.append(video_id)
            waiting = still
            moving = any(videos[v].status is VideoStatus.PROCESSING for v in still)
            progress = Progress(indexed, dict(failed), total, moving)
            if heartbeat or progress.done != last:
                yield progress
                last = progress.done
            if not waiting:
                return
            time.sleep(every_s)

    def reindex_all(self) -> list[str]:
        """Queues every video that another model than the active one indexed; answers their ids."""
        with self._database.transaction() as uow:
            model = uow.models.active()
            videos = uow.catalogue.get(uow.catalogue.indexed_ids())
            stale = [video.id for video in videos.values() if model and video.indexed_model != model.version]
            self._queue_again(uow, stale)
        return stale

    def _add_batch(self, sources: Sequence[Source], intake: Intake, progress: Callable[[int], None]) -> None:
        if not sources:
            return
        new = self._described(sources, intake, progress)
        with self._database.transaction() as uow:
            active = uow.models.active()
            held = dict(uow.catalogue.find_by_sha256([video.content_sha256 for video in new]))
            taken = uow.catalogue.resolve([video.external_id for video in new if video.external_id])
            again, jobs = [], []
            for video in new:
                known = held.get(video.content_sha256)
                owner = taken.get(video.external_id or "")
                if owner is not None and (known is None or owner != known.id):
                    raise Conflict(f"external_id {video.external_id!r} ({video.filename}) is that of another video")
                if known is None:
                    known = held[video.content_sha256] = uow.catalogue.add(video)
                    jobs.append(known.id)
                elif known.status is VideoStatus.FAILED or (
                    active and known.indexed_model not in (None, active.version)
                ):
                    again.append(known.id)
                elif known.status is VideoStatus.INDEXED:
                    intake.already.append(known.id)
                    continue
                intake.queued.append(known.id)
            self._queue.enqueue(uow, [index_job(video_id) for video_id in jobs])
            self._queue_again(uow, again)

    def _queue_again(self, uow: UnitOfWork, video_ids: Sequence[str]) -> None:
        uow.catalogue.requeue(video_ids)
        self._queue.enqueue(uow, [index_job(video_id) for video_id in video_ids])

    def _described(self, sources: Sequence[Source], intake: Intake, progress: Callable[[int], None]) -> list[NewVideo]:
        """The files as videos, hashed where location, size and time of change are not known already."""
        with self._database.snapshot() as uow:
            known = uow.catalogue.find_by_location([source.path.as_uri() for source in sources])
        videos = []
        for number, source in enumerate(sources, start=1):
            try:
                videos.append(_describe(source, known.get(source.path.as_uri())))
            except OSError as error:
                intake.unreadable[str(source.path)] = error.strerror or str(error)
            progress(number)
        return videos


def _describe(source: Source, known: Video | None) -> NewVideo:
    status = source.path.stat()
    unchanged = known is not None and known.size_bytes == status.st_size and known.source_mtime_ns == status.st_mtime_ns
    return NewVideo(
        location=source.path.as_uri(),
        filename=source.path.name,
        size_bytes=status.st_size,
        content_sha256=known.content_sha256 if known is not None and unchanged else _sha256(source.path),
        source_mtime_ns=status.st_mtime_ns,
        external_id=source.external_id,
        title=source.title,
        category=source.category,
        tags=source.tags,
        url=source.url,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
