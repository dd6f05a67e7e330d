"""How long what is done on a request's behalf may wait for something in all: said once where the request begins, heeded
and drawn from by every wait.

What is counted is time spent waiting, not time since the request came: a slow client or an encoder must not use up what
the index may take. It belongs to the context (contextvars); threads that a web framework runs a request on share it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_left: ContextVar[list[float] | None] = ContextVar("vidrec_patience_left", default=None)
_LEAST_S = 0.001
"""What is left where nothing is: nothing could be given to a client library as a timeout."""


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """The waits of the block may take so long in all."""
    token = _left.set([seconds])
    try:
        yield
    finally:
        _left.reset(token)


@contextmanager
def waiting(seconds: float) -> Iterator[float]:
    """One wait of at most so many seconds: gives how long it may take, which is less where less is left, and takes away
    what it took. Where nothing was said, it may take all it asks for."""
    left = _left.get()
    begun = time.monotonic()
    try:
        yield seconds if left is None else max(_LEAST_S, min(seconds, left[0]))
    finally:
        if left is not None:
            left[0] -= time.monotonic() - begun
