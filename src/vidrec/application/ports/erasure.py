"""What is kept of an erasure, and looking for what it should have removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Look:
    """One place that was looked into after a removal."""

    store: str
    """`objects`, `vectors`, `rows` or `jobs`."""
    place: str
    """What objects' keys start with; name of a collection or table; `queued or running`."""
    found: int
    """Objects, vectors, rows or jobs of the subject that were there; 0 where nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an erasure was asked for, when it was done, and what a probe found afterwards."""

    id: str
    kind: str
    """`video` or `user`."""
    subject: str
    requested_at: datetime
    completed_at: datetime | None
    """When the probe had found nothing anywhere."""
    looked_at: datetime | None = None
    """When the probe looked last; None where it has not yet."""
    probes: int = 0
    """How often it looked: more than once where something was there, or where somebody was busy with the video."""
    looks: tuple[Look, ...] = ()
    """Where it looked the last time, and how much was there."""

    @property
    def remaining(self) -> int:
        """How much the last probe found."""
        return sum(look.found for look in self.looks)


class Receipts(Protocol):
    """Erasure receipts."""

    def open(self, kind: str, subject: str) -> Receipt:
        """The receipt of this erasure: a new one, or the open one where it was asked for before."""
        ...

    def probed(self, receipt_id: str, looks: Sequence[Look]) -> None:
        """Notes what the probe found, in place of what it found before."""
        ...

    def complete(self, receipt_id: str) -> None: ...

    def get(self, receipt_id: str) -> Receipt | None: ...

    def page(self, *, limit: int, after: str | None = None) -> Sequence[Receipt]:
        """Oldest first. `after`: the id of the last one before."""
        ...


class Traces(Protocol):
    """Looks for what SQL still tells of those who were to be forgotten. What shows that they were erased (tombstone and
    receipt) is no trace."""

    def of_videos(self, video_ids: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        """video id -> table -> number of its rows that tell of the video. Every table that was looked into is there;
        reads all recommendation records, whatever the number of videos."""
        ...

    def of_user(self, user_id: str, *, until: datetime | None = None) -> Mapping[str, int]:
        """table -> number of its rows that tell of the user. `until`: of what has a time, only what is not younger: a
        user who was erased may have come back."""
        ...

    def deleted(self, *, limit: int, after: str | None = None) -> Sequence[str]:
        """Ids of deleted videos, oldest first. `after`: the last one before."""
        ...

    def users(self) -> Sequence[str]:
        """Ids of all users of whom anything is kept."""
        ...
