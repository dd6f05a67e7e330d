"""Reading request bodies of bounded size."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from vidrec.api.parameters import refusal

_JSON = "application/json"
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
    body = await read_body(request, limit + _FORM_OVERHEAD)
    parser = MultiPartParser(request.headers, _once(body), max_files=1, max_fields=1)
    parser.spool_max_size = len(body) + 1  # it is in memory already
    try:
        form = await parser.parse()
    except (MultiPartException, LookupError, UnicodeError) as error:
        raise refusal("body", "file", f"the form cannot be read: {error}") from error
    stray = next((name for name in form if name != "file"), None)
    if stray is not None:
        raise refusal("body", stray, "the form takes `file` alone")
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise refusal("body", "file", "the form has no file of this name")
    try:
        data = await file.read()
    finally:
        await form.close()
    if len(data) > limit:
        raise _too_large(limit)
    return data


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes")
