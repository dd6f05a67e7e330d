"""What viewers and their programs ask: recommendations, likeness, search, and telling what was watched."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from vidrec.api import answers, schemas
from vidrec.api.access import VIEWERS, caller_of
from vidrec.api.answers import answer
from vidrec.api.body import body_refusal, read_file, read_json
from vidrec.api.context import Context, In
from vidrec.api.openapi import EVENTS_BODY, PICTURE_BODY
from vidrec.api.parameters import (
    Cursor,
    StrictRoute,
    Text,
    UserId,
    Uuid,
    VideoName,
    VideoReference,
    refusal,
)
from vidrec.api.schemas import Seconds
from vidrec.application import recommend as use_case
from vidrec.application.catalogue import EXTERNAL
from vidrec.domain.errors import InvalidInput, StoreUnavailable
from vidrec.domain.filters import VideoFilter

log = logging.getLogger(__name__)

router = APIRouter(route_class=StrictRoute, tags=["consumer"])

MAX_EVENTS_BYTES = 8 << 20
_EVENT = TypeAdapter(schemas.EventIn)
_EVENTS: TypeAdapter[list[schemas.EventIn]] = TypeAdapter(schemas.EventsIn)

Count = Annotated[int, Query(ge=1, le=100, description="So many videos.")]
Category = Annotated[Text | None, Query(description="Of this category only.")]


@router.get("/recommend", response_model=schemas.RecommendationOut)
@VIEWERS
def recommend(
    context: In,
    request: Request,
    userid: Annotated[UserId, Query(description="Any id of yours for the user.")],
    n: Count = 20,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before.")] = None,
    exclude: Annotated[list[VideoReference], Query(max_length=1000, description="Not these videos; repeatable.")] = [],  # noqa: B006 - FastAPI copies it
    category: Category = None,
    tag: Annotated[list[Text], Query(max_length=50, description="With this tag; repeatable: with any of them.")] = [],  # noqa: B006
    min_duration_s: Annotated[Seconds | None, Query(description="At least so long.")] = None,
    max_duration_s: Annotated[Seconds | None, Query(description="At most so long.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Uploaded or taken in then or later.")] = None,
) -> Response:
    """Videos to watch next, best first, each with the reason. A user never seen gets popular and fresh ones."""
    caller_of(request).act_as(userid)
    if min_duration_s is not None and max_duration_s is not None and min_duration_s > max_duration_s:
        raise refusal("query", "min_duration_s", "must not be more than max_duration_s")
    only = VideoFilter(
        category=category,
        tags=frozenset(tag),
        min_duration_s=min_duration_s,
        max_duration_s=max_duration_s,
        since=since,
    )
    query = use_case.Query(user_id=userid, n=n, cursor=cursor, exclude=_identified(context, exclude), only=only)
    page = context.services.recommender.recommend(query)
    context.metrics.recommendations.labels(page.strategy).inc()
    if page.degraded:
        context.metrics.degraded.inc()
    for source, count in Counter(item.why.type for item in page.items).items():
        context.metrics.items.labels(source).inc(count)
    model = context.services.catalogue.model(page.model_version) if page.model_version else None
    return answer(context.answers.recommendation(page, model))


def _identified(context: Context, names: list[str]) -> frozenset[str]:
    try:
        return frozenset(context.services.catalogue.identify(names, field="exclude").values())
    except StoreUnavailable:
        # The answer will come from memory; external ids cannot be looked up.
        log.warning("SQL unavailable: external ids in `exclude` are passed over")
        return frozenset(name for name in names if not name.startswith(EXTERNAL))


@router.get("/recommendations/{recommendation_id}", response_model=schemas.RecordOut)
@VIEWERS
def recommendation(context: In, request: Request, recommendation_id: Uuid) -> Response:
    """What a recommendation was made from: interests, candidates with scores, parameters, versions."""
    found = context.services.recommender.record(recommendation_id)
    caller_of(request).act_as(found.user_id, field="recommendation_id")
    return answer(answers.record(found))


@router.get("/videos/{video_id}/similar", response_model=schemas.ItemsOut)
@VIEWERS
def similar(context: In, video: VideoName, n: Count = 20, category: Category = None) -> Response:
    """Videos like this one, best first, each with the pair of moments that are most alike."""
    video_id = context.services.catalogue.identify_one(video)
    items = context.services.recommender.similar(video_id, n=n, category=category)
    return answer({"items": [context.answers.item(item) for item in items]})


@router.post(
    "/search/image",
    response_model=schemas.ItemsOut,
    openapi_extra=PICTURE_BODY,
)
@VIEWERS
async def search_image(context: In, request: Request, n: Count = 20) -> Response:
    """Videos with a moment like the picture, best first: a form with `file`, or the picture as the body."""
    picture = await read_file(request, context.max_image_bytes)
    items = await run_sync(lambda: context.services.pictures.search(picture, n=n))
    return answer({"items": [context.answers.item(item) for item in items]})


@router.post(
    "/events",
    status_code=202,
    response_model=schemas.AcceptedOut,
    openapi_extra=EVENTS_BODY,
)
@VIEWERS
async def events(context: In, request: Request) -> Response:
    """Tells what users did: one event or an array of up to 1,000, all or nothing."""
    body = await read_json(request, MAX_EVENTS_BYTES)
    batch = body.lstrip()[:1] == b"["
    try:
        told = _EVENTS.validate_json(body) if batch else [_EVENT.validate_json(body)]
        for event in told:
            caller_of(request).act_as(event.user_id, field="user_id")
        recorded = await run_sync(lambda: context.services.events.record([event.event() for event in told]))
    except ValidationError as error:
        raise body_refusal(error) from None
    except InvalidInput as error:
        error.index = error.index if batch else None
        raise
    return answer(answers.accepted(recorded), 202)
