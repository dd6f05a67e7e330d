"""Taking in files: each becomes a video and a job, in one transaction; bytes that are already there do nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidrec.application.jobs import BESIDE, index_job
from vidrec.application.ports import Database, JobQueue, UnitOfWork, VideoChanges
from vidrec.domain.errors import Conflict, InvalidInput
from vidrec.domain.models import NewVideo, Video, VideoStatus

VIDEO_SUFFIXES = frozenset(
    {".webm", ".mp4", ".mkv", ".mov", ".avi", ".ogv", ".m4v", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".gif", ".3gp"}
)
"""What is taken from folders; a file that is named itself may be called anything."""
FILES_A_TRANSACTION = 200
TRANSACTION_EVERY_S = 0.5
"""Large files are handed over as they are read, so that workers need not wait for the last one."""
FOLLOW_SHARE = 0.05
"""Most of a core that following a large intake may cost."""


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
    """Ids of the videos that wait to be indexed: new ones, failed ones that are tried again, those of another model,
    those that waited already."""
    already: list[str] = field(default_factory=list)
    """For each file with nothing to do, the id of the video that it is."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path -> why the file could not be read."""


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
    defaults to the name of the containing folder. InvalidInput where a path does not exist or is neither file nor
    folder, before anything happens."""
    found: dict[str, None] = {}
    for path in paths:
        files = _videos_below(path) if _is_folder(path) else [path]
        found.update(dict.fromkeys(os.path.abspath(file) for file in files))
    return [Source(path=Path(file), category=category or text_of(Path(file).parent.name) or None) for file in found]


def text_of(name: str) -> str:
    """A file's name as text that can be stored: bytes that are no UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_folder(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"{path}: no such file or folder ({reason})", field=str(path)) from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise InvalidInput(f"{path}: expected a file or a folder, this is neither", field=str(path))
    return stat.S_ISDIR(mode)


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
        """Makes a video and a job of each file whose bytes are not there yet. Of bytes that are there, a failed video
        and one indexed by another model than the active one get a new job; an external id is given to a video that has
        none, and the place of a file that was moved is learned; else nothing changes. The same bytes under two external
        ids are two videos.

        `progress(done)` is called after each file. Safe to run again, also after it was cut short. Conflict where an
        external id is that of a video with other bytes."""
        intake = Intake()
        done = 0
        rest = iter(sources)
        while batch := list(islice(rest, FILES_A_TRANSACTION)):
            new: list[NewVideo] = []
            begun = time.monotonic()
            for source, known in zip(batch, self._at_the_same_place(batch), strict=True):
                try:
                    new.append(_describe(source, known))
                except OSError as error:
                    intake.unreadable[text_of(str(source.path))] = error.strerror or str(error)
                done += 1
                progress(done)
                if time.monotonic() - begun > TRANSACTION_EVERY_S:
                    self._add(new, intake)
                    new, begun = [], time.monotonic()
            self._add(new, intake)
        return intake

    def follow(self, video_ids: Sequence[str], *, every_s: float = 0.3, heartbeat: bool = False) -> Iterator[Progress]:
        """How far these videos are, now and whenever that changed (with `heartbeat` also when not, at each look), until
        each is indexed, failed or deleted."""
        waiting = list(dict.fromkeys(video_ids))
        total, indexed = len(waiting), 0
        failed: dict[str, Video] = {}
        last = -1
        while True:
            began = time.monotonic()
            with self._database.snapshot() as uow:
                videos = uow.catalogue.get(waiting)
            took_s = time.monotonic() - began
            total -= len(waiting) - len(videos)
            indexed += sum(video.status is VideoStatus.INDEXED for video in videos.values())
            failed.update((v.id, v) for v in videos.values() if v.status is VideoStatus.FAILED)
            waiting = [v.id for v in videos.values() if v.status not in (VideoStatus.INDEXED, VideoStatus.FAILED)]
            moving = any(video.status is VideoStatus.PROCESSING for video in videos.values())
            progress = Progress(indexed, dict(failed), total, moving)
            if heartbeat or progress.done != last:
                yield progress
                last = progress.done
            if not waiting:
                return
            time.sleep(max(every_s, took_s / FOLLOW_SHARE))

    def reindex_all(self) -> list[str]:
        """Queues every video that is indexed, but not under the active model; answers their ids. They stay
        recommendable, and come after what is uploaded."""
        return index_missing(self._database, self._queue)

    def _at_the_same_place(self, sources: Sequence[Source]) -> list[Video | None]:
        """For each file the video whose original was there."""
        locations = [source.path.as_uri() for source in sources]
        with self._database.snapshot() as uow:
            known = uow.catalogue.find_by_location(locations)
        return [known.get(location) for location in locations]

    def _add(self, new: Sequence[NewVideo], intake: Intake) -> None:
        if not new:
            return
        with self._database.transaction() as uow:
            active = uow.models.active()
            held = _Held(uow, new)
            to_do: dict[str, None] = {}
            again: dict[str, None] = {}
            for video in new:
                known = held.find(video)
                if known is None:
                    to_do[held.remember(uow.catalogue.add(video)).id] = None
                    continue
                if known.id in to_do or known.id in again:  # copies of one file
                    intake.already.append(known.id)
                    continue
                known = held.remember(_brought_up_to_date(uow, known, video))
                stale = active is not None and known.indexed_model not in (None, active.version)
                if known.status is VideoStatus.FAILED or (known.status is VideoStatus.INDEXED and stale):
                    again[known.id] = None
                elif known.status is VideoStatus.INDEXED:
                    intake.already.append(known.id)
                else:
                    to_do[known.id] = None
            self._queue.enqueue(uow, [index_job(video_id) for video_id in to_do])
            self._queue_again(uow, list(again))
        intake.queued += [*to_do, *again]

    def _queue_again(self, uow: UnitOfWork, video_ids: Sequence[str]) -> None:
        uow.catalogue.requeue(video_ids)
        self._queue.enqueue(uow, [index_job(video_id) for video_id in video_ids])


def index_missing(database: Database, queue: JobQueue) -> list[str]:
    """What `Ingest.reindex_all` does."""
    stale: list[str] = []
    while True:
        with database.transaction() as uow:
            model = uow.models.active()
            if model is None:
                return stale
            after = stale[-1] if stale else None
            found = uow.catalogue.unindexed(model.version, limit=FILES_A_TRANSACTION, after=after)
            queue.enqueue(uow, [index_job(video_id, model.version, priority=BESIDE) for video_id in found])
        if not found:
            return stale
        stale += found


class _Held:
    """The videos that files of one batch may be, read at once."""

    def __init__(self, uow: UnitOfWork, new: Sequence[NewVideo]) -> None:
        self._by_bytes = dict(uow.catalogue.find_by_sha256([video.content_sha256 for video in new]))
        ids = uow.catalogue.resolve([video.external_id for video in new if video.external_id])
        live = uow.catalogue.get(list(ids.values()))
        self._by_external_id = {external: live[video_id] for external, video_id in ids.items() if video_id in live}

    def find(self, video: NewVideo) -> Video | None:
        """The video that this is already; Conflict where its external id is another's."""
        owner = self._by_external_id.get(video.external_id or "")
        if owner is not None:
            if owner.content_sha256 != video.content_sha256:
                raise Conflict(
                    f"external_id {video.external_id!r} ({video.filename}) is that of a video of other bytes"
                )
            return owner
        known = self._by_bytes.get(video.content_sha256)
        if known is None or (video.external_id and known.external_id):
            return None
        return known

    def remember(self, video: Video) -> Video:
        """Later files of the batch find this one."""
        self._by_bytes[video.content_sha256] = video
        if video.external_id:
            self._by_external_id[video.external_id] = video
        return video


def _brought_up_to_date(uow: UnitOfWork, known: Video, found: NewVideo) -> Video:
    touched = known.location == found.location and known.source_mtime_ns != found.source_mtime_ns
    if touched or _is_gone(known.location):
        uow.catalogue.relocate(
            known.id, location=found.location, filename=found.filename, source_mtime_ns=found.source_mtime_ns
        )
    if found.external_id and known.external_id is None:
        return uow.catalogue.change(known.id, VideoChanges(external_id=found.external_id))
    return known


def _is_gone(location: str) -> bool:
    url = urlsplit(location)
    return url.scheme == "file" and not Path(unquote(url.path, errors="surrogateescape")).exists()


def _describe(source: Source, known: Video | None) -> NewVideo:
    status = source.path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a file")
    unchanged = known is not None and known.size_bytes == status.st_size and known.source_mtime_ns == status.st_mtime_ns
    return NewVideo(
        location=source.path.as_uri(),
        filename=text_of(source.path.name),
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
