"""Interactions and the popularity that follows from them, in SQL."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.locks import keep_videos, lock_users
from vidrec.adapters.sql.schema import interactions, upsert, video_stats, videos
from vidrec.domain.models import Interaction, InteractionType, WatchedVideo, new_id, utc_now
from vidrec.domain.profile import fold_history

POPULARITY_HALF_LIFE_DAYS = 7.0
_DECAY = math.log(2) / (POPULARITY_HALF_LIFE_DAYS * 86400)
_WEIGHTS = {InteractionType.VIEW: 1.0, InteractionType.LIKE: 4.0}
_COUNTERS = {
    InteractionType.VIEW: "views",
    InteractionType.WATCH: "watches",
    InteractionType.LIKE: "likes",
    InteractionType.DISLIKE: "dislikes",
    InteractionType.HIDE: "dislikes",
}
NO_POPULARITY = -1e9
"""Logarithm of a popularity of none."""
_REMOVED = "remove_interest"
"""Type of the rows that say what a removed interest was made of; those of one removal share their `session_id`."""
_SAYS_NOTHING = (InteractionType.IMPRESSION, _REMOVED)
_EVENTS_READ = 2000
"""Most recent events that a history is folded from: bounded, so that it does not grow with the years."""


class SqlInteractions:
    """Implements the Interactions port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, new: Sequence[Interaction]) -> int:
        new = self._of_live_videos(new)
        lock_users(self._connection, {i.user_id for i in new})
        unique = {(i.user_id, i.event_id): i for i in reversed(new)}
        rows = [asdict(i) for i in reversed(unique.values())]
        added: list[Interaction] = []
        for batch in in_batches(rows, 1000):
            statement = (
                upsert(self._connection, interactions)
                .values(batch)
                .on_conflict_do_nothing(index_elements=["user_id", "event_id"])
                .returning(interactions.c.user_id, interactions.c.event_id)
            )
            added += [unique[row.user_id, row.event_id] for row in self._connection.execute(statement)]
        self._count(added)
        return len(added)

    def cutoff(self, user_id: str) -> int:
        statement = select(func.max(interactions.c.seq)).where(interactions.c.user_id == user_id)
        return self._connection.execute(statement).scalar() or 0

    def history(self, user_id: str, *, limit: int = 200) -> Sequence[WatchedVideo]:
        statement = (
            select(*[c for c in interactions.c if c.name != "seq"])
            .where(interactions.c.user_id == user_id, interactions.c.type.not_in(_SAYS_NOTHING))
            .order_by(interactions.c.seq.desc())
            .limit(_EVENTS_READ)
        )
        return fold_history([_interaction(row) for row in self._connection.execute(statement)])[:limit]

    def after(self, sequence: int, *, limit: int) -> Sequence[tuple[int, Interaction]]:
        told = (interactions.c.seq > sequence) & (interactions.c.type != _REMOVED)
        statement = select(interactions).where(told).order_by(interactions.c.seq).limit(limit)
        return [(row.seq, _interaction(row)) for row in self._connection.execute(statement)]

    def remove_interest(self, user_id: str, video_ids: Collection[str]) -> None:
        lock_users(self._connection, {user_id})
        removal, now = new_id(), utc_now()
        rows = [
            {"user_id": user_id, "event_id": f"{removal}:{n}", "video_id": video_id, "ts": now}
            for n, video_id in enumerate(sorted(video_ids))
        ]
        if rows:
            self._connection.execute(insert(interactions).values(type=_REMOVED, session_id=removal), rows)

    def removed_interests(self, user_id: str) -> Sequence[frozenset[str]]:
        statement = (
            select(interactions.c.session_id, interactions.c.video_id)
            .where(interactions.c.user_id == user_id, interactions.c.type == _REMOVED)
            .order_by(interactions.c.seq)
        )
        found: dict[str, set[str]] = defaultdict(set)
        for row in self._connection.execute(statement):
            found[row.session_id].add(row.video_id)
        return [frozenset(video_ids) for video_ids in found.values()]

    def seen(self, user_id: str) -> Mapping[str, str]:
        statement = (
            select(interactions.c.video_id, videos.c.content_sha256)
            .distinct()
            .join(videos, videos.c.id == interactions.c.video_id)
            .where(interactions.c.user_id == user_id, interactions.c.type.not_in(_SAYS_NOTHING))
        )
        return {row.video_id: row.content_sha256 for row in self._connection.execute(statement)}

    def erase_user(self, user_id: str) -> int:
        return self._connection.execute(delete(interactions).where(interactions.c.user_id == user_id)).rowcount

    def erase_video(self, video_id: str) -> int:
        self._connection.execute(delete(video_stats).where(video_stats.c.video_id == video_id))
        return self._connection.execute(delete(interactions).where(interactions.c.video_id == video_id)).rowcount

    def _of_live_videos(self, new: Sequence[Interaction]) -> Sequence[Interaction]:
        """Without those about videos that were deleted since the caller looked. From here on none is deleted before
        the transaction ends, so that an erasure finds all that was ever appended."""
        video_ids = sorted({i.video_id for i in new})
        keep_videos(self._connection, video_ids)
        gone: set[str] = set()
        for batch in in_batches(video_ids):
            statement = select(videos.c.id).where(videos.c.id.in_(batch), videos.c.deleted_at.is_not(None))
            gone.update(self._connection.execute(statement).scalars())
        return [i for i in new if i.video_id not in gone] if gone else new

    def _count(self, added: Sequence[Interaction]) -> None:
        """Adds to the counters and to the popularity by forward decay (Cormode et al. 2009): an event's weight grows
        with its time instead of fading with age, so a stored value never needs an update to stay comparable. Kept as a
        logarithm, since the weights grow without bound."""
        gains: dict[str, list[float]] = defaultdict(list)
        counters: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_counter_names(), 0))
        for event in added:
            if event.type in _COUNTERS:
                counters[event.video_id][_COUNTERS[event.type]] += 1
            weight = _popularity_weight(event)
            if weight > 0:
                gains[event.video_id].append(math.log(weight) + _age(event.ts))
        touched = sorted(v for v in counters if v in gains or any(counters[v].values()))
        for batch in in_batches(touched):
            totals = [
                {
                    "video_id": row.video_id,
                    "popularity": _log_sum([row.popularity, *gains[row.video_id]]),
                    **{name: getattr(row, name) + count for name, count in counters[row.video_id].items()},
                }
                for row in self._held_stats(batch)
            ]
            # Their rows are there, so that this updates them all by one statement.
            new = upsert(self._connection, video_stats).values(totals)
            changed = {name: new.excluded[name] for name in ("popularity", *_counter_names())}
            self._connection.execute(new.on_conflict_do_update(index_elements=["video_id"], set_=changed))

    def _held_stats(self, video_ids: Sequence[str]) -> Sequence[Any]:
        """The rows of these videos, made where there are none; nobody else changes them until the transaction ends.
        Everybody takes them in the order of their ids."""
        empty = {"popularity": NO_POPULARITY, **dict.fromkeys(_counter_names(), 0)}
        self._connection.execute(
            upsert(self._connection, video_stats)
            .values([{"video_id": video_id, **empty} for video_id in video_ids])
            .on_conflict_do_nothing(index_elements=["video_id"])
        )
        statement = select(video_stats).where(video_stats.c.video_id.in_(video_ids)).order_by(video_stats.c.video_id)
        return self._connection.execute(statement.with_for_update()).all()


def _interaction(row: Row[Any]) -> Interaction:
    values = {name: value for name, value in row._mapping.items() if name != "seq"}
    return Interaction(**{**values, "type": InteractionType(row.type)})


def _counter_names() -> set[str]:
    return set(_COUNTERS.values())


def _popularity_weight(event: Interaction) -> float:
    if event.type is InteractionType.WATCH:
        return 2 * (0.5 if event.fraction is None else event.fraction)
    return _WEIGHTS.get(event.type, 0.0)


def _age(ts: datetime) -> float:
    return ts.timestamp() * _DECAY


def _log_sum(logs: Sequence[float]) -> float:
    """log(sum(exp(x))) without overflow."""
    top = max(logs)
    return top + math.log(sum(math.exp(x - top) for x in logs))
