"""The ASGI app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio.to_thread import current_default_thread_limiter, run_sync
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from vidrec import __version__
from vidrec.api import (
    admin,
    archive,
    consumer,
    health,
    media,
    notifications,
    openapi,
    pages,
    producer,
    profile,
    session,
    stages,
)
from vidrec.api.access import Gate
from vidrec.api.answers import UNTRAINED, Answers
from vidrec.api.context import Context
from vidrec.api.errors import install_error_handlers
from vidrec.api.metrics import Metrics, Observed
from vidrec.api.parameters import DecodedOnce
from vidrec.api.requests import Requests
from vidrec.api.streams import EventStreams
from vidrec.application.access import Access
from vidrec.application.services import Services
from vidrec.domain.errors import StoreUnavailable
from vidrec.telemetry import Telemetry

log = logging.getLogger(__name__)

THREADS = 24
"""So many requests are worked on at once; more wait for a thread. Each holds at most one SQL connection."""
_PARTS = (consumer, profile, producer, stages, notifications, media, archive, admin, session, health, pages)
_ROUTERS = [part.router for part in _PARTS]
_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "Range", "X-API-Key"],
    "expose_headers": ["Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-Request-ID"],
    "allow_credentials": False,  # sessions are for our own pages: others send a key or a token
    "max_age": 3600,
}
_DESCRIPTION = (
    "Recommends videos by what is in them. A video is named by its id or by `external:` and your own id for it."
)


def create_app(
    services: Services,
    *,
    public_url: str = "",
    max_image_bytes: int = 10 << 20,
    popular_refresh_s: float = 5.0,
    max_event_streams: int = 100,
    access: Access | None = None,
    cors_origins: Sequence[str] = (),
    media_url_s: float = 300.0,
    media_origins: tuple[str, ...] = (),
    notification_token: str = "",
    sns_topics: tuple[str, ...] = (),
    index_patience_s: float = 5.0,
    telemetry: Telemetry | None = None,
) -> FastAPI:
    """The app over these use cases, which it does not close. `public_url`: what links start with, empty for relative
    ones. `access`: who may call; None: everybody. `cors_origins`: whose pages may. `index_patience_s`: how long one
    request may wait for the vector index in all. `telemetry`: the process's, by default one of the app's own. For the
    rest see Context."""
    telemetry = telemetry or Telemetry("vidrec-api")
    metrics = Metrics(services.database, services.queue, telemetry.registry)
    app = FastAPI(
        title="vidrec",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=openapi.PROBLEM,
        lifespan=_lifespan(services, popular_refresh_s),
    )
    app.state.context = Context(
        services=services,
        answers=Answers(public_url, None if access is None else access.links),
        metrics=metrics,
        streams=EventStreams(max_event_streams),
        public_url=public_url,
        max_image_bytes=max_image_bytes,
        gate=None if access is None else Gate(access, public_url),
        media_url_s=media_url_s,
        media_origins=media_origins,
        notification_token=notification_token,
        sns_topics=sns_topics,
    )
    app.openapi = lambda: openapi.document(app, _ROUTERS)  # type: ignore[method-assign]
    install_error_handlers(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_middleware(DecodedOnce)
    app.add_middleware(Observed, metrics=metrics)
    if cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(cors_origins), **_CORS)
    app.add_middleware(Requests, telemetry=telemetry, patience_s=index_patience_s)
    return app


def _lifespan(services: Services, refresh_s: float):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        await run_sync(_warn_if_untrained, services)
        refreshing = asyncio.create_task(_keep_fresh(services, refresh_s))
        yield
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing

    return lifespan


def _warn_if_untrained(services: Services) -> None:
    with suppress(StoreUnavailable):
        model = services.catalogue.active_model()
        if model is not None and not model.trained:
            log.warning(UNTRAINED)


async def _keep_fresh(services: Services, refresh_s: float) -> None:
    """Reads the popular list again and again, so that it is there when SQL is not."""
    while True:
        try:
            await run_sync(services.spotlight.refresh)
        except StoreUnavailable as error:
            log.warning("the popular list was not refreshed: %s", error)
        await asyncio.sleep(0.8 * refresh_s)  # before a request finds it old
