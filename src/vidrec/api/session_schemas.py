"""What is taken and answered about sessions and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vidrec.api.parameters import UserId
from vidrec.application.access import MAX_TOKEN_S
from vidrec.domain.access import Role

MIN_TOKEN_S = 60.0


class SessionIn(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: Annotated[str, Field(min_length=1, max_length=4096, description="A key, or a viewer token.", repr=False)]


class TokenIn(BaseModel):
    """The viewer that a token is for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    user_id: UserId
    lifetime_s: Annotated[float, Field(ge=MIN_TOKEN_S, le=MAX_TOKEN_S, allow_inf_nan=False)] = 3600.0


class SessionOut(BaseModel):
    """Who asks."""

    model_config = ConfigDict(extra="forbid")

    auth: Literal["off", "keys"] = Field(description="`off`: nobody needs a key.")
    role: Role | None = Field(description="None where the caller shows no valid key.")
    user_id: str | None = Field(description="The only user that the caller acts as; None: any.")
    buckets: list[str] = Field(description="Where the caller may upload to.")


class TokenOut(BaseModel):
    """A token that acts as one user, to be sent as a key is."""

    model_config = ConfigDict(extra="forbid")

    token: str
    user_id: str
    expires_at: datetime
