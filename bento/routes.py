"""The encoder's HTTP routes: raw bytes in, raw bytes out, as plain ASGI. A framework's request parsing would cost more
than the transport of a frame; BentoML's own routes take JSON or multipart only (docs/adr/0003)."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from bento import metrics
from bento.batcher import MAX_BATCH
from bento.models import HeldModel, HeldModels
from vidrec.domain.errors import (
    Conflict,
    EncoderUnavailable,
    InvalidInput,
    NotFound,
    Overloaded,
    VidrecError,
)
from vidrec.telemetry import Traces, about

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SIDE = 224
FRAME_BYTES = SIDE * SIDE * 3
MAX_FRAMES = 64
"""Of one request."""

_STATUS: Mapping[type[VidrecError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    Conflict: 409,
    Overloaded: 429,
    EncoderUnavailable: 503,
}


class EncoderRoutes:
    """The ASGI app. It answers 503 until `open` is called and again once `draining` is set."""

    def __init__(self) -> None:
        self._models: HeldModels | None = None
        self.draining = False
        self.traces = Traces()

    def open(self, models: HeldModels) -> None:
        """Starts to serve."""
        self._models = models

    @property
    def ready(self) -> bool:
        return self._models is not None and not self.draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._route(scope, receive, send)
        except VidrecError as error:
            status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
            metrics.REJECTED.labels(str(status)).inc()
            await _problem(send, status, str(error), getattr(error, "retry_after_s", None))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        match path:
            case "/v1/encode":
                route, most = "encode", MAX_FRAMES
            case "/v1/encode_image":
                route, most = "encode_image", 1
            case "/v1/describe" if method in ("GET", "HEAD"):
                await _answer(
                    send, 200, [(b"content-type", b"application/json")], json.dumps(self._describe()).encode()
                )
                return
            case "/metrics" if method in ("GET", "HEAD"):
                body, content_type = metrics.exposition()
                await _answer(send, 200, [(b"content-type", content_type.encode())], body)
                return
            case _:
                raise NotFound(
                    f"there is no {method} {path}; there is POST /v1/encode, POST /v1/encode_image, "
                    "GET /v1/describe, GET /metrics"
                )
        if method != "POST":
            await _problem(send, 405, f"{path} takes POST", None)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self.traces.serving(route, headers), about(request_id=headers.get("x-request-id")):
            await self._encode(scope, receive, send, route, most)

    async def _encode(self, scope: Scope, receive: Receive, send: Send, route: str, most: int) -> None:
        if self._models is None or self.draining:
            raise EncoderUnavailable("the encoder is not ready", retry_after_s=2.0)
        model = await self._models.of(_wanted_version(scope["query_string"]))
        batcher = model.batcher
        count = _frame_count(scope, most)
        try:
            batcher.reserve(count)
        except Overloaded:
            await _discard(receive)  # so that the connection can be used again
            raise
        try:
            frames = await _read_frames(receive, count)
            if frames is None:
                return
            embeddings = await batcher.encode(frames)
        finally:
            batcher.release(count)
        metrics.FRAMES.labels(route).inc(count)
        await _answer(send, 200, _headers(model), np.ascontiguousarray(embeddings, dtype="<f4").tobytes())

    def _describe(self) -> Mapping[str, Any]:
        described = {} if self._models is None else self._models.describe()
        return {**described, "max_frames": MAX_FRAMES, "max_batch": MAX_BATCH, "ready": self.ready}


def _wanted_version(query: bytes) -> str:
    return parse_qs(query.decode("latin-1")).get("model_version", [""])[0]


def _headers(model: HeldModel) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"application/octet-stream"),
        (b"x-model-version", model.version.encode()),
        (b"x-dimension", str(model.manifest.dimension).encode()),
    ]


def _frame_count(scope: Scope, most: int) -> int:
    length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
    if length is None or not length.isdigit():
        raise InvalidInput("Content-Length: expected, so that the number of frames is known", field="Content-Length")
    count, rest = divmod(int(length), FRAME_BYTES)
    if rest or not 1 <= count <= most:
        raise InvalidInput(
            f"body: {int(length)} bytes; expected 1 to {most} frames of {SIDE} x {SIDE} x 3 bytes = {FRAME_BYTES}",
            field="body",
        )
    return count


async def _read_frames(receive: Receive, count: int) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """The body as (count, 224, 224, 3), without a copy where it came in one piece; None where the client left."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return np.frombuffer(body, dtype=np.uint8).reshape(count, SIDE, SIDE, 3)


async def _discard(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _problem(send: Send, status: int, detail: str, retry_after_s: float | None) -> None:
    """RFC 9457."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = [(b"content-type", b"application/problem+json")]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(retry_after_s)).encode()))
    await _answer(send, status, headers, json.dumps(body).encode())
