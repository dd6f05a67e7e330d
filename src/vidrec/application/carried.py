"""What travels along with work: from the request that asked for a job to the worker that does it.

Plain text by name, such as `request_id` and `traceparent` (W3C Trace Context); the core passes it on and reads none of
it. It belongs to the context (contextvars), which threads do not inherit by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

KEY = "carried"
"""Its name in a job's payload."""
_carried: ContextVar[Mapping[str, str]] = ContextVar("vidrec_carried", default={})  # noqa: B039 - never changed


def carried() -> Mapping[str, str]:
    """What travels along with what is done now."""
    return _carried.get()


@contextmanager
def carrying(values: Mapping[str, str]) -> Iterator[None]:
    """What is asked for in the block carries these values instead."""
    token = _carried.set(dict(values))
    try:
        yield
    finally:
        _carried.reset(token)


def with_carried(payload: Mapping[str, object]) -> Mapping[str, object]:
    """The payload of a new job; unchanged where there is nothing to carry."""
    values = carried()
    return {**payload, KEY: dict(values)} if values else payload
