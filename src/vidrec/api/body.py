"""Reading request bodies of bounded size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from vidrec.api.parameters import refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_JSON = "application/json"
_PIECE = 1 << 20
_IDLE_S = 60.0
_FORM_OVERHEAD = 16 << 10
"""Bytes that a multipart form may add to its file."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; 413 where it is longer than `limit` bytes, before all of it is read."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces of about 1 MiB, held in memory one at a time; 408 where nothing comes for a while."""
    held = bytearray()
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_IDLE_S):
                held += await anext(stream)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise HTTPException(408, f"no byte came for {_IDLE_S:g} seconds") from None
        except ClientDisconnect:
            raise HTTPException(400, "the connection ended before the body did") from None
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def read_json(request: Request, limit: int) -> bytes:
    """The body of a request that does not say that it is anything but JSON (415 otherwise)."""
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON:
        raise HTTPException(415, f"the body must be {_JSON}: set the Content-Type header")
    return await read_body(request, limit)


def body_refusal(error: ValidationError) -> RequestValidationError:
    """pydantic's error as one about the request's body."""
    entries: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    return RequestValidationError([{**entry, "loc": ("body", *entry["loc"])} for entry in entries])


async def read_file(request: Request, limit: int) -> bytes:
    """The file `file` of a multipart form, or the body as it is; 413 where it is longer than `limit` bytes."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await read_body(request, limit)
    form = await read_body(request, limit + _FORM_OVERHEAD)
    return _file_of(request.headers["content-type"], form, limit)


def _file_of(content_type: str, form: bytes, limit: int) -> bytes:
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise refusal("body", "file", "the form cannot be read: its Content-Type has no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(form)
        parser.finalize()
    except FormParserError as error:
        raise refusal("body", "file", f"the form cannot be read: {error}") from error
    for name in parts.names:
        if name != "file":
            raise refusal("body", name, "the form takes `file` alone")
    if len(parts.ended) != 1:
        raise refusal("body", "file", "the form must have one whole file of this name")
    if len(parts.ended[0]) > limit:
        raise _too_large(limit)
    return parts.ended[0]


class _Parts:
    """Collects names and contents of a form's parts, in memory: the form is there already."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ended: list[bytes] = []
        self._header = self._value = b""
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._data.clear,
            "on_header_field": lambda data, start, end: self._add_to_header(data[start:end]),
            "on_header_value": lambda data, start, end: self._add_to_value(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": lambda: self.ended.append(bytes(self._data)),
        }

    def _add_to_header(self, data: bytes) -> None:
        self._header += data

    def _add_to_value(self, data: bytes) -> None:
        self._value += data

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"name", b"")
            self.names.append(name.decode("utf-8", "replace"))
        self._header = self._value = b""


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes")
