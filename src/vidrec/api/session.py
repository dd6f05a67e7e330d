"""Sessions of the pages, and tokens for viewers."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from vidrec.api import session_schemas as schemas
from vidrec.api.access import BACKENDS, COOKIE, EVERYBODY, Gate, caller_of
from vidrec.api.answers import answer
from vidrec.api.body import body_refusal, read_json
from vidrec.api.context import Context, In
from vidrec.api.openapi import SESSION_BODY, TOKEN_BODY
from vidrec.api.parameters import StrictRoute
from vidrec.domain.access import ANYBODY, Caller, Role
from vidrec.domain.errors import Conflict, Unauthorized

router = APIRouter(route_class=StrictRoute, tags=["access"])

_MAX_BODY = 16 << 10


@router.get("/session", response_model=schemas.SessionOut)
@EVERYBODY
async def session(context: In, request: Request) -> Response:
    """Who asks, and whether keys are needed."""
    caller = None
    if context.gate is None:
        caller = ANYBODY
    else:
        with suppress(Unauthorized):
            claim = context.gate.claim(request)
            caller = None if claim is None else await context.gate.identify(claim)
    return _told(context, caller)


@router.post("/session", response_model=schemas.SessionOut, openapi_extra=SESSION_BODY)
@EVERYBODY
async def sign_in(context: In, request: Request) -> Response:
    """Exchanges a key for a session of this browser: a cookie that scripts cannot read and other sites do not send."""
    gate = _needed(context)
    if "origin" in request.headers or "sec-fetch-site" in request.headers:
        gate.check_origin(request)  # nobody is to be signed in by another's page
    try:
        taken = schemas.SessionIn.model_validate_json(await read_json(request, _MAX_BODY))
    except ValidationError as error:
        raise body_refusal(error) from None
    claim = gate.access.bearer(taken.key.strip())
    caller = await gate.identify(claim)
    text, lifetime = gate.access.begin_session(claim)
    made = _told(context, caller)
    made.set_cookie(
        COOKIE, text, max_age=int(lifetime), httponly=True, samesite="strict", secure=_is_https(context, request)
    )
    return made


@router.delete("/session", status_code=204, response_class=Response)
@EVERYBODY
async def sign_out(context: In, request: Request) -> Response:
    """Ends the session of this browser."""
    if context.gate is not None and COOKIE in request.cookies:
        context.gate.check_origin(request)
    made = Response(status_code=204)
    made.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_https(context, request))
    return made


@router.post("/viewer-tokens", status_code=201, response_model=schemas.TokenOut, openapi_extra=TOKEN_BODY)
@BACKENDS
async def viewer_token(context: In, request: Request) -> Response:
    """A token with which a viewer's own client acts as that user and no other, for a while. It ends with the key."""
    gate = _needed(context)
    try:
        taken = schemas.TokenIn.model_validate_json(await read_json(request, _MAX_BODY))
    except ValidationError as error:
        raise body_refusal(error) from None
    token, expires = gate.access.issue_token(caller_of(request), taken.user_id, taken.lifetime_s)
    made = answer({"token": token, "user_id": taken.user_id, "expires_at": expires}, 201)
    made.headers["Cache-Control"] = "no-store"
    return made


def _needed(context: Context) -> Gate:
    if context.gate is None:
        raise Conflict("nobody needs a key here: VIDREC_AUTH is off")
    return context.gate


def _told(context: Context, caller: Caller | None) -> Response:
    uploads = caller is not None and caller.role is not Role.CONSUMER
    made = answer(
        {
            "auth": "off" if context.gate is None else "keys",
            "role": None if caller is None else caller.role,
            "user_id": None if caller is None else caller.user_id,
            "buckets": list(context.services.uploads.buckets) if uploads else [],
        }
    )
    made.headers["Cache-Control"] = "no-store"
    return made


def _is_https(context: Context, request: Request) -> bool:
    return context.base(request).startswith("https:")
