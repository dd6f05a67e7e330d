"""What is known of a user's taste, and taking back a part of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from vidrec.api.access import VIEWERS, caller_of
from vidrec.api.answers import answer
from vidrec.api.context import In
from vidrec.api.parameters import StrictRoute, UserName, Uuid
from vidrec.api.profile_schemas import ProfileOut

router = APIRouter(route_class=StrictRoute, tags=["consumer"])

Number = Annotated[int, Path(ge=0, le=1000, description="Of the interest, as the profile numbers it.")]


@router.get("/users/{user_id}/profile", response_model=ProfileOut)
@VIEWERS
def profile(context: In, request: Request, user: UserName) -> Response:
    """The user's interests, most important first, each with watched videos that it comes from."""
    caller_of(request).act_as(user, field="user_id")
    return answer(context.answers.profile(context.services.profiles.shown(user)))


@router.delete("/users/{user_id}/interests/{number}", status_code=204, response_class=Response)
@VIEWERS
def remove_interest(
    context: In,
    request: Request,
    user: UserName,
    number: Number,
    video_id: Annotated[
        Uuid | None, Query(description="The video that stands for it: 409 where another one does by now.")
    ] = None,
) -> Response:
    """Takes an interest out of the profile for good: what is watched of that kind later does not bring it back."""
    caller_of(request).act_as(user, field="user_id")
    context.services.profiles.remove_interest(user, number, video_id=video_id)
    return Response(status_code=204)
