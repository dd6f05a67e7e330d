"""`vidrec api`"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import say
from vidrec.cli.exposure import refuse_exposure
from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings, load_settings
from vidrec.telemetry import Telemetry, Traces, configure_logging

_BACKLOG = 2048
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
"""Parameters of glibc's mallopt; there is no such function elsewhere."""


def command(
    host: Annotated[str | None, typer.Option(help="Address to listen on (VIDREC_HOST).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one (VIDREC_PORT).")] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Serve the HTTP API and the page until SIGTERM or Ctrl-C; requests that were begun are ended (VIDREC_DRAIN_S)."""
    _use_threads_sparingly()
    settings = load_settings(host=host, port=port, data_dir=data)
    refuse_exposure(settings)
    configure_logging(settings.log_level, settings.log_format)
    with _listen(settings) as listening:
        _serve(settings, listening)


def _use_threads_sparingly() -> None:
    # Requests run on threads of their own: a matrix product that starts more only makes them wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # glibc gives every thread an arena, and what is freed there stays with the process.
    with suppress(OSError, AttributeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_ARENA_MAX, 2)
        allocator.mallopt(_M_MMAP_THRESHOLD, 256 << 10)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise InvalidInput(f"cannot listen on {where}: {error.strerror or error}", field="port") from error


def _serve(settings: Settings, listening: socket.socket) -> None:
    from vidrec.api.app import create_app
    from vidrec.api.server import make_server
    from vidrec.bootstrap import media_origins, open_access, open_services

    telemetry = Telemetry("vidrec-api", Traces.from_environment("vidrec-api"))
    services = open_services(settings, telemetry)
    try:
        app = create_app(
            services,
            public_url=settings.public_url,
            max_image_bytes=settings.max_image_bytes,
            popular_refresh_s=settings.popular_refresh_s,
            max_event_streams=settings.max_event_streams,
            access=open_access(settings, services.database),
            cors_origins=settings.cors_origins,
            media_url_s=settings.media_url_s,
            media_origins=media_origins(settings),
            notification_token=settings.notification_token,
            sns_topics=settings.sns_topics,
            index_patience_s=settings.milvus_timeout_s,
            telemetry=telemetry,
        )
        if settings.media_url:
            from vidrec.cli.s3 import warn_of_cors

            threading.Thread(target=warn_of_cors, args=(settings,), name="cors", daemon=True).start()
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        say(f"vidrec api: http://{name}:{listening.getsockname()[1]}")
        # uvicorn drains, then raises the signal again: asked to end and ended is not a failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
        make_server(app, drain_s=settings.drain_s).run(sockets=[listening])
    finally:
        services.close()
        telemetry.close()
