"""Looking for what SQL still tells of deleted videos and erased users."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Column, ColumnElement, Connection, func, or_, select, union

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.recommendations import bodies
from vidrec.adapters.sql.schema import (
    indexings,
    interactions,
    profile_members,
    profiles,
    progress_notes,
    recommendations,
    split_ranges,
    splits,
    uploads,
    video_stats,
    videos,
)

_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OF_VIDEOS: Sequence[tuple[Column[str], ColumnElement[bool] | None]] = (
    (videos.c.id, or_(videos.c.title != "", videos.c.filename != "", videos.c.location != "")),
    (uploads.c.video_id, or_(uploads.c.sha256.is_not(None), uploads.c.etag.is_not(None))),
    *((table.c.video_id, None) for table in (video_stats, interactions, profile_members, indexings)),
    *((table.c.video_id, None) for table in (splits, split_ranges, progress_notes)),
)
"""Where ids of videos are, and which of the rows tell more than that there was one."""
_OF_USERS: Sequence[tuple[Column[str], Column[datetime] | None]] = (
    (interactions.c.user_id, interactions.c.ts),
    (profiles.c.user_id, None),
    (profile_members.c.user_id, None),
    (recommendations.c.user_id, recommendations.c.created_at),
)
"""Where ids of users are, and since when; a profile follows from interactions and has no time of its own."""


class SqlTraces:
    """Implements the Traces port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_videos(self, video_ids: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for column, telling in _OF_VIDEOS:
            for batch in in_batches(video_ids):
                statement = select(column, func.count()).where(column.in_(batch)).group_by(column)
                rows = self._connection.execute(statement if telling is None else statement.where(telling))
                for video_id, count in rows:
                    found[video_id][column.table.name] = count
        for video_id in self._named_in_records(set(video_ids)):
            found[video_id][recommendations.name] += 1
        tables = [*(column.table.name for column, _ in _OF_VIDEOS), recommendations.name]
        return {video_id: {table: found[video_id][table] for table in tables} for video_id in video_ids}

    def of_user(self, user_id: str, *, until: datetime | None = None) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for column, since in _OF_USERS:
            statement = select(func.count()).select_from(column.table).where(column == user_id)
            if until is not None:
                if since is None:
                    continue
                statement = statement.where(since <= until)
            found[column.table.name] = self._connection.execute(statement).scalar_one()
        return found

    def deleted(self, *, limit: int, after: str | None = None) -> Sequence[str]:
        statement = select(videos.c.id).where(videos.c.deleted_at.is_not(None)).order_by(videos.c.id).limit(limit)
        if after is not None:
            statement = statement.where(videos.c.id > after)
        return list(self._connection.execute(statement).scalars())

    def users(self) -> Sequence[str]:
        every = union(*(select(column).where(column.is_not(None)) for column, _ in _OF_USERS))
        return list(self._connection.execute(every).scalars())

    def _named_in_records(self, wanted: set[str]) -> list[str]:
        """Each of the ids as often as there are records that name it."""
        encoded = {video_id.encode() for video_id in wanted}
        return [
            name.decode() for _, body in bodies(self._connection) for name in encoded.intersection(_ID.findall(body))
        ]
