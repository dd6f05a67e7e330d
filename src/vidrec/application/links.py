"""Links to media that work by themselves for a while: what shows a picture or plays a video sends no key."""

from __future__ import annotations

import time
from collections.abc import Callable

from vidrec.application.ports import Signing
from vidrec.domain.errors import Forbidden

_STEPS = 4


class MediaLinks:
    """Signs paths of this service for GET. Thread-safe."""

    def __init__(self, signer: Signing, *, lifetime_s: float, clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._lifetime = lifetime_s
        self._clock = clock

    def query(self, path: str) -> str:
        """The query that makes the path work: for the lifetime at most, for three quarters of it at least. It stays the
        same for a quarter, so that browsers find in their caches what they have."""
        step = self._lifetime / _STEPS
        expires = str(int(self._clock() // step * step + self._lifetime))
        return f"expires={expires}&signature={self._signer.sign('GET', path, {'expires': expires})}"

    def check(self, path: str, expires: str, signature: str) -> None:
        """Forbidden where the path was not signed so, or not for this time."""
        if not self._signer.verify("GET", path, {"expires": expires, "signature": signature}):
            raise Forbidden("the link is not one that was answered here: it was altered or cut short")
        if int(expires) <= self._clock():
            raise Forbidden("the link has expired: ask for the video again")
