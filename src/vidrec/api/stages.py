"""What happens to a video, told as it happens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response

from vidrec.api.access import ALL_ROLES, or_link
from vidrec.api.answers import failure_answer, progress_answer
from vidrec.api.context import In
from vidrec.api.parameters import StrictRoute, VideoName
from vidrec.api.streams import HEARTBEAT, EventStream, EventStreams, event
from vidrec.domain.errors import NotFound, StoreUnavailable
from vidrec.domain.models import Video
from vidrec.domain.uploads import Stage, VideoProgress

LOOK_EVERY_S = 0.25
IDLE_LOOK_S = 2.0
"""How often is looked in the end while nothing changes."""
HEARTBEAT_S = 15.0
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    204: {"description": "The event that ends the stream was seen before (`Last-Event-ID`)."},
}
_Look = Callable[[], tuple[Video, VideoProgress]]

router = APIRouter(route_class=StrictRoute, tags=["producer"])


@router.get("/videos/{video_id}/events", response_class=Response, responses=_EVENTS)
@or_link(ALL_ROLES, "events")
async def events(context: In, video: VideoName, request: Request) -> Response:
    """Tells the stage of a video and each change of it, as events `stage` with JSON as their data, until it is indexed
    or failed (or deleted). Comments come now and then while nothing changes."""
    catalogue = context.services.catalogue

    def look() -> tuple[Video, VideoProgress]:
        found = catalogue.get(video)
        return found, catalogue.progress([found])[found.id]

    found, now = await run_sync(look)
    if now.stage.final and request.headers.get("last-event-id") == _event_id(found, now):
        return Response(status_code=204)  # a browser that reconnects stops then
    context.streams.check()
    return EventStream(_told(look, context.streams), context.streams)


async def _told(look: _Look, streams: EventStreams) -> AsyncIterator[bytes]:
    last: VideoProgress | None = None
    spoken = time.monotonic()
    pause = LOOK_EVERY_S
    going_on = True
    while going_on:
        with suppress(StoreUnavailable):  # looked again later
            try:
                video, now = await run_sync(look)
            except NotFound:
                yield event("deleted", "deleted", {})
                return
            pause = min(pause * 1.1, IDLE_LOOK_S)
            if now != last:
                last, spoken, pause = now, time.monotonic(), LOOK_EVERY_S
                yield event("stage", _event_id(video, now), _data(video, now))
            if now.stage.final:
                return
        if time.monotonic() - spoken >= HEARTBEAT_S:
            spoken = time.monotonic()
            yield HEARTBEAT
        going_on = await streams.wait(pause)


def _data(video: Video, now: VideoProgress) -> dict[str, Any]:
    return {
        "video_id": video.id,
        "stage": now.stage,
        "progress": progress_answer(now),
        "failure": failure_answer(video) if now.stage is Stage.FAILED else None,
    }


def _event_id(video: Video, now: VideoProgress) -> str:
    when = "" if video.indexed_at is None else f"-{video.indexed_at.timestamp():.6f}"
    return f"{now.stage}{when}"
