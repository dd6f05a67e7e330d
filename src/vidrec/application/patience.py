"""Waiting for a dependency that is unavailable for a while, for as long as the work is still wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from vidrec.domain.errors import LeaseLost, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")


class Stopping(Exception):
    """The worker was told to stop in the middle of a job."""


class Patience:
    """Of one job. `lost` is set when its lease is another worker's or its video was deleted, `stop` when the worker is
    to end; `limit_s` is how long one call may find its dependency unavailable. Thread-safe."""

    def __init__(self, *, lost: threading.Event, stop: threading.Event, limit_s: float) -> None:
        self._lost = lost
        self._stop = stop
        self._limit_s = limit_s

    def check(self) -> None:
        """Returns while the work is wanted; LeaseLost, Stopping where it is not any more."""
        if self._lost.is_set():
            raise LeaseLost("the job is not ours any more")
        if self._stop.is_set():
            raise Stopping

    def wait(self, seconds: float) -> None:
        """Returns after that time, or at once when the worker is to end."""
        self._stop.wait(seconds)

    def __call__(self, call: Callable[[], T]) -> T:
        """What the call answers, tried again as it asks while it is unavailable; its Unavailable once that took longer
        than the limit; LeaseLost, Stopping as by `check`."""
        give_up_at = time.monotonic() + self._limit_s
        told = False
        while True:
            self.check()
            try:
                return call()
            except Unavailable as error:
                if time.monotonic() >= give_up_at:
                    raise
                if not told:
                    log.warning("waiting: %s", error)
                    told = True
                self.wait(error.retry_after_s)
