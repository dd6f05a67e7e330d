"""What surrounds every request: its id, its patience, its trace."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Any

from vidrec.application.carried import carrying
from vidrec.application.deadline import waiting_at_most
from vidrec.telemetry import Telemetry, about

log = logging.getLogger(__name__)

HEADER = b"x-request-id"
_FIT = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_UNTRACED = frozenset({"/livez", "/readyz", "/metrics"})


class Requests:
    """ASGI middleware, the outermost. A request's id is the client's `X-Request-ID` where that is 1 to 128 harmless
    characters, else a new one; it is answered in the same header, is in every line logged on the request's behalf, and
    goes with jobs and calls that the request asks for. `patience_s`: how long it may wait for the index in all."""

    def __init__(self, app: Any, telemetry: Telemetry, patience_s: float) -> None:
        self._app = app
        self._telemetry = telemetry
        self._patience_s = patience_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        traces = self._telemetry.traces
        if not traces.on or scope["path"] in _UNTRACED:
            with about(request_id=request_id), carrying({"request_id": request_id}), waiting_at_most(self._patience_s):
                await self._answer(scope, receive, send, request_id, None)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with (
            traces.serving(scope["method"], headers, **{"http.request.method": scope["method"]}) as span,
            about(request_id=request_id, trace_id=traces.trace_id()),
            carrying({"request_id": request_id, **traces.headers()}),
            waiting_at_most(self._patience_s),
        ):
            await self._answer(scope, receive, send, request_id, span)

    async def _answer(self, scope: Any, receive: Any, send: Any, request_id: str, span: Any) -> None:
        begun = time.perf_counter()

        async def identified(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
                _note(scope, message["status"], begun, span)
            await send(message)

        await self._app(scope, receive, identified)


def _note(scope: Any, status: int, begun: float, span: Any) -> None:
    route = getattr(scope.get("route"), "path", "")
    if span is not None:
        span.update_name(f"{scope['method']} {route}".strip())
        span.set_attribute("http.response.status_code", status)
        if route:
            span.set_attribute("http.route", route)
    if log.isEnabledFor(logging.DEBUG):
        took_ms = 1e3 * (time.perf_counter() - begun)
        log.debug("%s %s %d after %.1f ms", scope["method"], scope["path"], status, took_ms)


def _request_id(headers: Any) -> str:
    for name, value in headers:
        if name == HEADER and _FIT.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
