"""How far a video is, told by the worker that has it and read by whoever waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from vidrec.application.ports import Database, UnitOfWork
from vidrec.domain.errors import Unavailable
from vidrec.domain.uploads import VideoProgress

REPORT_EVERY_S = 1.0

Report = Callable[[VideoProgress], None]


class Reporter:
    """Keeps what a worker says of one video or of one range of it, at most once a second, and not of one that takes
    less than that. May be called from several threads."""

    def __init__(self, database: Database, note: Callable[[UnitOfWork, VideoProgress], None]) -> None:
        self._database = database
        self._note = note
        self._next = time.monotonic() + REPORT_EVERY_S

    def __call__(self, progress: VideoProgress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REPORT_EVERY_S
        with suppress(Unavailable), self._database.transaction() as uow:  # only told less often then
            self._note(uow, progress)


def report_video(database: Database, video_id: str) -> Reporter:
    """A report on a whole video."""
    return Reporter(database, lambda uow, progress: uow.progress.put(video_id, progress))


def report_range(database: Database, video_id: str, model_version: str, number: int, start_s: float) -> Reporter:
    """A report on one range of a split video."""

    def note(uow: UnitOfWork, progress: VideoProgress) -> None:
        if progress.done is not None:
            uow.splits.note(video_id, model_version, number, max(0.0, progress.done - start_s))

    return Reporter(database, note)


def untold(_: VideoProgress) -> None:
    """A report that nobody reads."""
