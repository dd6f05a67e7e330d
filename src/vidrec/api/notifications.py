"""Where an object store tells that something has arrived.

Whoever calls must know the secret. That is all a notification is trusted for: the store is asked what is really there,
and only what was announced is taken in."""

from __future__ import annotations

import hmac
import logging
from typing import Annotated

import httpx
from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Query, Request, Response

from vidrec.api import schemas
from vidrec.api.access import EVERYBODY
from vidrec.api.answers import answer
from vidrec.api.body import read_body
from vidrec.api.context import Context, In
from vidrec.api.notification_bodies import Confirmation, Malformed, parse
from vidrec.api.openapi import NOTIFICATION_BODY
from vidrec.api.parameters import StrictRoute, refusal
from vidrec.domain.errors import Forbidden, Unavailable

router = APIRouter(route_class=StrictRoute, tags=["producer"])
log = logging.getLogger(__name__)

MAX_BODY = 4 << 20
_CONFIRM_S = 10.0


@router.post("/notifications/s3", response_model=schemas.NotifiedOut, openapi_extra=NOTIFICATION_BODY)
@EVERYBODY
async def notified(
    context: In,
    request: Request,
    token: Annotated[str | None, Query(max_length=500, description="Or as `Authorization: Bearer`.")] = None,
) -> Response:
    """Takes what an object store sends when an object was made: events of AWS S3 (also through SNS or EventBridge) and
    webhooks as MinIO sends them. Repeated, late and unknown ones do nothing."""
    _check(context, request, token)
    try:
        told = parse(await read_body(request, MAX_BODY))
    except Malformed as error:
        raise refusal("body", "body", str(error)) from None
    if isinstance(told, Confirmation):
        await _confirm(context, told)
        return answer({"objects": 0})
    for created in told:
        await run_sync(context.services.uploads.told, created.bucket, created.key)
    return answer({"objects": len(told)})


def _check(context: Context, request: Request, token: str | None) -> None:
    if not context.notification_token:
        raise HTTPException(404)
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    given = value.strip() if kind.lower() == "bearer" else token or ""
    if not hmac.compare_digest(given.encode(), context.notification_token.encode()):
        raise Forbidden("notifications need the token that VIDREC_NOTIFICATION_TOKEN holds")


async def _confirm(context: Context, asked: Confirmation) -> None:
    """Says yes to SNS where the topic is one of the settings'."""
    if asked.topic not in context.sns_topics:
        raise Forbidden(f"{asked.topic[:200]} is not among the topics of VIDREC_SNS_TOPICS")
    if not asked.is_amazons:
        raise refusal("body", "SubscribeURL", "expected an https address of SNS")
    try:
        async with httpx.AsyncClient(timeout=_CONFIRM_S) as client:
            said = await client.get(asked.url)
    except httpx.HTTPError as error:
        raise Unavailable(f"the subscription cannot be confirmed: {error}") from error
    if not said.is_success:
        raise Unavailable(f"the subscription cannot be confirmed: SNS answers {said.status_code}")
    log.info("the subscription of %s is confirmed", asked.topic)
