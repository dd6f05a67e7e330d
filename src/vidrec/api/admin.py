"""The catalogue, and deletion with receipts."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from vidrec.api import schemas
from vidrec.api.access import ADMINS, ALL_ROLES, ITS_PRODUCER, ITSELF, VIEWERS, caller_of
from vidrec.api.answers import answer
from vidrec.api.body import body_refusal, read_json
from vidrec.api.context import In
from vidrec.api.openapi import PATCH_BODY
from vidrec.api.parameters import Cursor, StrictRoute, Text, UserName, Uuid, VideoName
from vidrec.api.receipt_schemas import ReceiptOut
from vidrec.domain.models import VideoStatus

router = APIRouter(route_class=StrictRoute, tags=["admin"])

MAX_PATCH_BYTES = 256 << 10


@router.get("/videos", response_model=schemas.VideosOut)
@ALL_ROLES
def videos(
    context: In,
    request: Request,
    q: Annotated[Text | None, Query(description="Part of a title; case does not matter.")] = None,
    category: Text | None = None,
    status: VideoStatus | None = None,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The videos, newest first."""
    page = context.services.catalogue.page(query=q, category=category, status=status, cursor=cursor, limit=limit)
    progress = context.services.catalogue.progress(page.videos)
    answers = context.answers.to(caller_of(request))
    items = [answers.video(v, progress[v.id]) for v in page.videos]
    return answer({"items": items, "next_cursor": page.next_cursor})


@router.get("/videos/{video_id}", response_model=schemas.VideoOut)
@ALL_ROLES
def video(context: In, request: Request, video: VideoName) -> Response:
    """One video: what is known of it and how far it is."""
    found = context.services.catalogue.get(video)
    progress = context.services.catalogue.progress([found])[found.id]
    return answer(context.answers.to(caller_of(request)).video(found, progress))


@router.patch("/videos/{video_id}", response_model=schemas.VideoOut, openapi_extra=PATCH_BODY)
@ITS_PRODUCER
async def change_video(context: In, video: VideoName, request: Request) -> Response:
    """Changes title, category, tags or whether the video may be shown."""
    try:
        patch = schemas.VideoPatch.model_validate_json(await read_json(request, MAX_PATCH_BYTES))
    except ValidationError as error:
        raise body_refusal(error) from None
    changed = await run_sync(lambda: context.services.catalogue.change(video, patch.changes()))
    return answer(context.answers.to(caller_of(request)).video(changed))


@router.delete("/videos/{video_id}", status_code=202, response_model=ReceiptOut)
@ADMINS
def delete_video(context: In, video: VideoName) -> Response:
    """Deletes a video: shown to nobody from now on; all that is kept of it is removed by a worker, the original too
    where it was uploaded. One that was taken in from a folder is left where it is."""
    services = context.services
    return answer(context.answers.receipt(services.eraser.erase_video(services.catalogue.identify_one(video))), 202)


@router.delete("/users/{user_id}", status_code=202, response_model=ReceiptOut)
@ITSELF
def delete_user(context: In, request: Request, user: UserName) -> Response:
    """Removes all that is kept of a user."""
    caller_of(request).act_as(user, field="user_id")
    return answer(context.answers.receipt(context.services.eraser.erase_user(user)), 202)


@router.get("/receipts/{receipt_id}", response_model=ReceiptOut)
@VIEWERS
def receipt(context: In, receipt_id: Uuid) -> Response:
    """Whether an erasure is done, and what was found when every store was looked into afterwards."""
    return answer(context.answers.receipt(context.services.eraser.receipt(receipt_id)))
