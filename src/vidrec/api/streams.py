"""Server-sent events: answers that go on for as long as somebody listens, of which there are so many at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pydantic_core import to_json
from starlette.responses import StreamingResponse

from vidrec.domain.errors import Overloaded


class EventStreams:
    """The streams that are open now, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0
        self._ending = asyncio.Event()

    def check(self) -> None:
        """Overloaded where no more are taken."""
        if self._open >= self._limit:
            raise Overloaded(f"{self._limit} event streams are open, which is all: ask for the video now and then")

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def end(self) -> None:
        """All streams end."""
        self._ending.set()

    async def wait(self, seconds: float) -> bool:
        """Whether the streams are to go on, after that time or earlier."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return not self._ending.is_set()


class EventStream(StreamingResponse):
    """One of them: counted while it is open; ends when the client goes away."""

    def __init__(self, content: AsyncIterator[bytes], streams: EventStreams) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, headers=headers, media_type="text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with self._streams.opened():
            await super().__call__(scope, receive, send)


def event(name: str, event_id: str, data: Any) -> bytes:
    """One event; the data becomes JSON."""
    return b"event: %s\nid: %s\ndata: %s\n\n" % (name.encode(), event_id.encode(), to_json(data))


HEARTBEAT = b": nothing new\n\n"
"""A comment, so that nobody in between takes the connection for dead."""
