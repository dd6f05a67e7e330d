"""What erasures answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LookOut(_Answered):
    """One place that was looked into after a removal."""

    store: Literal["objects", "vectors", "rows", "jobs"]
    place: str = Field(description="What objects' keys start with, or the name of a collection or table.")
    found: int = Field(description="How much was there.")


class ProbeOut(_Answered):
    """What was found when every store was looked into after a removal."""

    looked_at: datetime
    probes: int = Field(description="How often that was done.")
    found: int = Field(description="How much was there the last time, all places together.")
    looks: list[LookOut]


class ReceiptOut(_Answered):
    """Proof that an erasure was asked for, when it was done, and what was looked at afterwards."""

    receipt_id: str
    kind: Literal["video", "user"]
    subject: str = Field(description="The video's id; of a user a digest of the id.")
    status: Literal["pending", "remaining", "completed"] = Field(
        description="`remaining`: something was found after the removal, which is tried again."
    )
    requested_at: datetime
    completed_at: datetime | None
    probe: ProbeOut | None = Field(description="null until it was looked.")
    links: dict[str, str]
