"""Types of parameters, and the refusal of parameters that a route does not know."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, get_origin
from urllib.parse import unquote

from fastapi import Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from vidrec.api.access import ADMINS, SIGNED, stated

MAX_USER_ID = 256
MAX_EXTERNAL_ID = 512
MAX_NAME = 2048
"""A video's name in a path: `external:` and an external id, percent-encoded."""

# U+FFFD is what decoders put where bytes are not UTF-8.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


def fit_text(value: str) -> str:
    """The text itself; refused where it holds control characters or was not UTF-8."""
    if _UNFIT.search(value):
        raise PydanticCustomError("unfit_text", "must be valid UTF-8 without control characters")
    return value


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(fit_text)]
UserId = Annotated[str, Field(min_length=1, max_length=MAX_USER_ID), AfterValidator(fit_text)]
ExternalId = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID), AfterValidator(fit_text)]
FileName = Annotated[str, Field(min_length=1, max_length=4096, description="Kept as name and title alone.")]
FileSize = Annotated[int, Field(ge=1, description="In bytes; another length is refused.")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
ContentType = Annotated[
    str, Field(max_length=200, pattern=r"^[!#$&^_.+\-0-9A-Za-z]+/[!#$&^_.+\-0-9A-Za-z]+( *;[ -~]*)?$")
]
Cursor = Annotated[str, Field(min_length=1, max_length=100)]
Uuid = Annotated[
    str,
    Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", description="A UUID."),
    AfterValidator(str.lower),
]
VideoReference = Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID + 10), AfterValidator(fit_text)]
VideoName = Annotated[
    str,
    Path(
        alias="video_id",
        min_length=1,
        max_length=MAX_NAME,
        description="The video's id, or `external:` and your own id for it.",
    ),
    AfterValidator(unquote),  # see DecodedOnce
    AfterValidator(fit_text),
]
UserName = Annotated[
    str,
    Path(alias="user_id", min_length=1, max_length=MAX_NAME),
    AfterValidator(unquote),
    Field(max_length=MAX_USER_ID),
    AfterValidator(fit_text),
]


class StrictRoute(APIRoute):
    """A route that lets in whom it states, and refuses query parameters which it does not know, and single ones that
    are given twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {p.alias for p in self.dependant.query_params}
        repeatable = {p.alias for p in self.dependant.query_params if get_origin(p.field_info.annotation) is list}

        who = stated(self.endpoint) or ADMINS
        if who.link is not None:
            known |= SIGNED

        async def strict(request: Request) -> Response:
            gate = request.app.state.context.gate
            if gate is not None:
                await gate.admit(request, who)
            if request.scope["query_string"]:
                _check_query(request, known, repeatable)
            return await handle(request)

        return strict


def _check_query(request: Request, known: set[str], repeatable: set[str]) -> None:
    given: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise refusal("query", name, "this address knows no such parameter")
        if name in given and name not in repeatable:
            raise refusal("query", name, "must be given once")
        given.add(name)


def refusal(source: str, field: str, detail: str) -> RequestValidationError:
    """The error that says what is wrong with one parameter."""
    return RequestValidationError([{"type": "refused", "loc": (source, field), "msg": detail}])


class DecodedOnce:
    """ASGI middleware: servers decode `%2F` before routing, so that an external id with a slash would be two parts of
    the path. Behind this one, names in paths are still percent-encoded, but only where they hold `%2F` or `%25`."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path") or b""
        if b"%2" in raw and scope["type"] == "http":
            kept = re.sub(rb"%(2[Ff]|25)", rb"%25\1", raw.partition(b"?")[0])
            scope["path"] = unquote(kept.decode("latin-1"))
        await self._app(scope, receive, send)
