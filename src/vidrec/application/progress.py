"""How far a video is, told by the worker that has it and read by whoever waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from vidrec.application.ports import Database
from vidrec.domain.errors import Unavailable
from vidrec.domain.uploads import VideoProgress

REPORT_EVERY_S = 1.0

Report = Callable[[VideoProgress], None]


class Reporter:
    """Keeps what a worker says of one video, at most once a second, and not of one that takes less than that. May be
    called from several threads."""

    def __init__(self, database: Database, video_id: str) -> None:
        self._database = database
        self._video_id = video_id
        self._next = time.monotonic() + REPORT_EVERY_S

    def __call__(self, progress: VideoProgress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REPORT_EVERY_S
        with suppress(Unavailable), self._database.transaction() as uow:  # only told less often then
            uow.progress.put(self._video_id, progress)


def untold(_: VideoProgress) -> None:
    """A report that nobody reads."""
