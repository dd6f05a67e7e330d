"""The shape of a user's profile."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from vidrec.api.schemas import Links


class WatchedVideoOut(BaseModel):
    """A video that the user watched or liked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    external_id: str | None
    title: str
    links: Links


class ProfileInterestOut(BaseModel):
    """One thing that the user likes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(description="What `DELETE /users/{user_id}/interests/{number}` takes.")
    importance: float = Field(description="Share of the user's attention; those of a profile sum to 1.")
    videos: list[WatchedVideoOut] = Field(
        description="Watched videos that it comes from, the one that stands for it first."
    )
    links: dict[str, str] = Field(description="`remove`: to be sent a DELETE.")


class ProfileOut(BaseModel):
    """What is known of a user's taste."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    userid: str
    model_version: str | None
    interests: list[ProfileInterestOut] = Field(description="The most important first.")
