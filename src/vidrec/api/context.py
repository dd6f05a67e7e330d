"""What every route needs, held by the app's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from vidrec.api.access import Gate
from vidrec.api.answers import Answers
from vidrec.api.metrics import Metrics
from vidrec.api.streams import EventStreams
from vidrec.application.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One app's use cases, metrics and limits."""

    services: Services
    answers: Answers
    metrics: Metrics
    streams: EventStreams
    public_url: str
    max_image_bytes: int
    gate: Gate | None
    """None where nobody needs a key."""
    media_url_s: float = 300.0
    """How long an address of the media store holds that this service answers with."""
    media_origins: tuple[str, ...] = ()
    """Where else than here the pages load videos and pictures from, and send uploads to."""
    notification_token: str = ""
    sns_topics: tuple[str, ...] = ()

    def base(self, request: Request) -> str:
        """Where the client reaches this service, without a slash at the end."""
        return self.public_url.rstrip("/") or str(request.base_url).rstrip("/")


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


In = Annotated[Context, Depends(_context)]
"""Parameter of a route: the app's context."""
