"""uvicorn as vidrec runs it: uvloop, httptools, and problems instead of plain text for what the parser refuses."""

from __future__ import annotations

import math
import socket
from typing import Any
from urllib.parse import unquote_plus

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vidrec.api.errors import problem

MAX_URL = 65_535
"""What httptools can take apart."""
_HOPELESS_URL = 16 << 20
"""A longer one is not even read to its end, so its sender may see a closed connection instead of an answer."""


def make_server(app: Any, *, drain_s: float = 10.0) -> uvicorn.Server:
    """A server for the app; call `run(sockets=[...])`. `drain_s`: how long requests go on once it is told to end."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(drain_s),
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Ends event streams when it is to end: by themselves they go on for as long as somebody listens."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        context = getattr(getattr(self.config.app, "state", None), "context", None)
        if context is not None:
            context.streams.end()
        await super().shutdown(sockets)


class Protocol(HttpToolsProtocol):
    """Refuses with the API's own shape of errors."""

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > _HOPELESS_URL:
            raise ValueError("too long")

    def send_400_response(self, msg: str) -> None:
        if len(getattr(self, "url", b"")) > MAX_URL:
            field = _longest_parameter(self.url)
            answer = problem(414, f"{field}: the address may have {MAX_URL} bytes, this is longer", field=field)
        else:
            answer = problem(400, "this is not a request of HTTP/1.1")
        head = [b"HTTP/1.1 %d %s" % (answer.status_code, b"Refused"), b"Connection: close"]
        head += [name + b": " + value for name, value in (*self.server_state.default_headers, *answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()


def _longest_parameter(url: bytes) -> str:
    """Name of the query parameter that takes most room; `path` where it is no parameter."""
    path, _, query = url.decode("latin-1").partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    name, _, value = max(pairs, key=lambda pair: len(pair[2]))
    return unquote_plus(name)[:100] if len(value) > len(path) else "path"
