"""How many requests a caller may make: one token bucket each, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from vidrec.domain.errors import Overloaded

_MOST = 10_000
"""So many buckets are held; the one used longest ago goes, and whoever had it begins with a full one."""


class RateLimits:
    """Token buckets by name. A full one holds the requests of a minute, and fills evenly. Thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, per_minute: int) -> None:
        """Counts one request. Overloaded, with the time until the next one, where there were too many; 0 is no
        limit."""
        if per_minute <= 0:
            return
        with self._lock:
            now = self._clock()
            left, at = self._buckets.get(name, (float(per_minute), now))
            left = min(per_minute, left + (now - at) * per_minute / 60)
            enough = left >= 1
            self._buckets[name] = (left - 1 if enough else left, now)
            self._buckets.move_to_end(name)
            if len(self._buckets) > _MOST:
                self._buckets.popitem(last=False)
        if not enough:
            raise Overloaded(
                f"this key may make {per_minute} requests a minute", retry_after_s=(1 - left) * 60 / per_minute
            )
