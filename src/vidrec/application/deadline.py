"""How long what is going on may still take: said once where a request begins, heeded by whatever waits on its behalf.

It belongs to the context (contextvars): threads that a web framework runs a request on inherit it, others have none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("vidrec_deadline", default=None)
_LEAST_S = 0.001
"""What is left of a deadline that is over: nothing could be given to a client library as a timeout."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block may wait for so long in all; an earlier deadline that holds already stays."""
    ends_at, before = time.monotonic() + seconds, _ends_at.get()
    token = _ends_at.set(ends_at if before is None else min(before, ends_at))
    try:
        yield
    finally:
        _ends_at.reset(token)


def at_most(seconds: float) -> float:
    """So many seconds, or what is left of the deadline where that is less; always above 0."""
    ends_at = _ends_at.get()
    return seconds if ends_at is None else max(_LEAST_S, min(seconds, ends_at - time.monotonic()))
