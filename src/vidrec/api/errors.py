"""Every error becomes an RFC 9457 problem, here and nowhere else."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from vidrec.domain.errors import (
    AlreadyThere,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnusableMedia,
    VidrecError,
)

log = logging.getLogger(__name__)

BUG = "something went wrong in the server; its log tells what"
MEDIA_TYPE = "application/problem+json"
_STATUS: Sequence[tuple[type[VidrecError], int]] = (
    (TooLarge, 413),
    (InvalidInput, 422),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (AlreadyThere, 412),
    (Conflict, 409),
    (Overloaded, 429),
    (Unavailable, 503),
    (UnusableMedia, 422),
)
_WORDS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    409: "conflict",
    412: "already-there",
    413: "too-large",
    414: "address-too-long",
    415: "unsupported-media-type",
    416: "range-not-satisfiable",
    422: "invalid-input",
    429: "overloaded",
    503: "unavailable",
}
_MAX_ERRORS = 20
"""So many errors of one request are told."""


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    index: int | None = Field(None, description="Item of a batch, from 0.")
    field: str = Field(description="Parameter or member that is wrong; `body` for the body as a whole.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="`urn:vidrec:problem:` and a word that never changes its meaning.")
    title: str
    status: int
    detail: str = Field(description="One sentence that names what is wrong.")
    field: str | None = Field(None, description="The first wrong parameter or member.")
    index: int | None = Field(None, description="Item of a batch, from 0.")
    errors: list[FieldError] | None = Field(None, description="All that is wrong, where there is more to say.")


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """A problem answer; members that are None are left out."""
    word = _WORDS.get(status, "bad-request" if status < 500 else "internal-error")
    body = {
        "type": f"urn:vidrec:problem:{word}",
        "title": word.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **{name: value for name, value in members.items() if value is not None},
    }
    return Response(json.dumps(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Maps what routes raise to problems."""
    app.add_exception_handler(VidrecError, _on_vidrec_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


async def _on_vidrec_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VidrecError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="vidrec"' + (', error="invalid_token"' if error.shown else "")
    if status >= 500:
        log.warning("%s: %s", type(error).__name__, error)
    field, index = getattr(error, "field", None), getattr(error, "index", None)
    detail = str(error) if index is None else f"item {index}: {error}"
    return problem(status, detail, headers=headers, field=field, index=index)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_field_error(entry) for entry in error.errors()[:_MAX_ERRORS]]
    first = errors[0]
    item = f"item {first['index']}: " if "index" in first else ""
    detail = f"{item}{first['field']}: {first['detail']}"
    return problem(422, detail, field=first["field"], index=first.get("index"), errors=errors)


def _field_error(entry: Mapping[str, Any]) -> dict[str, Any]:
    """From pydantic's location, such as ("query", "n") or ("body", 3, "fraction")."""
    source, *path = entry["loc"]
    if source == "query":
        path = path[:1]  # without the position of a repeated parameter
    index = {"index": path.pop(0)} if path and isinstance(path[0], int) else {}
    field = ".".join(str(part) for part in path) or str(source)
    return {**index, "field": field[:200], "detail": entry["msg"]}


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if detail == HTTPStatus(error.status_code).phrase:
        detail = {404: "there is nothing at this address", 405: "this address does not take this method"}.get(
            error.status_code, detail
        )
    return problem(error.status_code, detail, headers=error.headers)


async def _on_bug(_request: Request, _error: Exception) -> Response:
    return problem(500, BUG)
