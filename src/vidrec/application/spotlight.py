"""The popular and fresh videos that every API process holds in memory: for users of whom nothing is known, to fill
short lists, and as the answer while a store does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from vidrec.application.ports import Database
from vidrec.domain.errors import StoreUnavailable
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import Candidate, Video
from vidrec.domain.ranking import cold_start

log = logging.getLogger(__name__)

LENGTH = 200
"""Videos held of each kind."""
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class _Lists:
    popular: Sequence[Video] = ()
    fresh: Sequence[Video] = ()
    by_id: Mapping[str, Video] = field(default_factory=dict)
    read_at: float = _NEVER


class Spotlight:
    """Read from SQL at most once in `refresh_s` seconds, by whichever request finds it old; meanwhile and while SQL
    does not answer the old lists serve. Thread-safe."""

    def __init__(
        self, database: Database, *, refresh_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._refresh_s = refresh_s
        self._clock = clock
        self._lists = _Lists()
        self._refreshing = threading.Lock()

    def candidates(
        self, only: VideoFilter = EVERY_VIDEO, *, drop: Collection[str] = (), limit: int | None = None
    ) -> list[Candidate]:
        """Popular and fresh videos in turn, without those in `drop`. StoreUnavailable where nothing was ever read."""
        lists = self._current()
        popular, fresh = ([v.id for v in videos if only.accepts(v)] for videos in (lists.popular, lists.fresh))
        return cold_start(popular, fresh, drop=drop, limit=limit)

    def videos(self) -> Mapping[str, Video]:
        """The videos held, by id, as they were when the lists were read."""
        return self._current().by_id

    def refresh(self) -> None:
        """Reads the lists now, so that no request has to. StoreUnavailable."""
        with self._refreshing:
            self._lists = self._read()

    def _current(self) -> _Lists:
        if self._clock() - self._lists.read_at >= self._refresh_s and self._refreshing.acquire(
            blocking=self._lists.read_at == _NEVER
        ):
            try:
                self._lists = self._read()
            except StoreUnavailable:
                if self._lists.read_at == _NEVER:
                    raise
                log.warning("SQL unavailable: the popular list is %.0f s old", self._clock() - self._lists.read_at)
            finally:
                self._refreshing.release()
        return self._lists

    def _read(self) -> _Lists:
        with self._database.snapshot() as uow:
            popular, fresh = uow.catalogue.popular(LENGTH), uow.catalogue.recent(LENGTH)
        return _Lists(popular, fresh, {v.id: v for v in (*popular, *fresh)}, self._clock())
