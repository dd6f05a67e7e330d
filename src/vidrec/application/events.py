"""Taking down what users do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vidrec.application.ports import Database, UnitOfWork
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Interaction, InteractionType, new_id, utc_now

MAX_BATCH = 1000
"""Most events of one call."""
MAX_CLOCK_SKEW = timedelta(minutes=5)
"""An event may be so far in the future: clocks differ. Beyond it, it would stay the most recent one for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a client tells. The video is named by one of the two ids."""

    user_id: str
    type: InteractionType
    video_id: str | None = None
    external_id: str | None = None
    event_id: str | None = None
    fraction: float | None = None
    position_s: float | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    ts: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a batch: accepted = new + repeated + dropped."""

    accepted: int
    repeated: int
    """Told before under the same user and event id."""
    dropped: int
    """About deleted videos."""


class EventLog:
    """Appends interactions. Thread-safe. Profiles are not touched: the user's next recommendation finds the new
    interactions and brings the profile up to date."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    def record(self, events: Sequence[Event]) -> Recorded:
        """Appends the whole batch or, where one event is refused, nothing. InvalidInput names index and field."""
        now = self._clock()
        _check_times(events, now)
        with self._database.transaction() as uow:
            videos = _videos(uow, events)
            kept = [
                _interaction(event, video_id, now)
                for event, video_id in zip(events, videos, strict=True)
                if video_id is not None
            ]
            new = uow.interactions.append(kept) if kept else 0
        return Recorded(accepted=len(events), repeated=len(kept) - new, dropped=len(events) - len(kept))


def _check_times(events: Sequence[Event], now: datetime) -> None:
    for index, event in enumerate(events):
        if event.ts is not None and event.ts > now + MAX_CLOCK_SKEW:
            raise InvalidInput("ts lies in the future", field="ts", index=index)


def _videos(uow: UnitOfWork, events: Sequence[Event]) -> list[str | None]:
    """The video id of each event, None for a deleted video; InvalidInput where there never was one."""
    external = uow.catalogue.resolve(sorted({e.external_id for e in events if e.external_id is not None}))
    named = [e.video_id if e.external_id is None else external.get(e.external_id) for e in events]
    wanted = sorted({video_id for video_id in named if video_id is not None})
    live: Mapping[str, object] = uow.catalogue.get(wanted)
    deleted = uow.catalogue.deleted([v for v in wanted if v not in live])
    for index, (event, video_id) in enumerate(zip(events, named, strict=True)):
        if video_id is None or not (video_id in live or video_id in deleted):
            field = "video_id" if event.external_id is None else "external_id"
            raise InvalidInput(f"{field} names no video", field=field, index=index)
    return [video_id if video_id in live else None for video_id in named]


def _interaction(event: Event, video_id: str, now: datetime) -> Interaction:
    return Interaction(
        user_id=event.user_id,
        video_id=video_id,
        type=event.type,
        ts=event.ts or now,
        event_id=event.event_id or new_id(),
        fraction=event.fraction,
        position_s=event.position_s,
        session_id=event.session_id,
        recommendation_id=event.recommendation_id,
    )
