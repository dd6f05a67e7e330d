"""Uploads in SQL."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from vidrec.adapters.sql.schema import upload_seconds, uploads, upsert
from vidrec.domain.uploads import Upload

BOUNDS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
BEYOND = 1e12
"""The bound that is kept for what took longer than the last: not every database stores infinity."""
_COLUMNS = [c for c in uploads.c if c.name != "recommendable_at"]


class SqlUploadRecords:
    """Implements the UploadRecords port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, upload: Upload) -> None:
        self._connection.execute(insert(uploads).values(asdict(upload)))

    def get(self, upload_id: str) -> Upload | None:
        return self._one(uploads.c.id == upload_id)

    def find(self, bucket: str, key: str) -> Upload | None:
        return self._one((uploads.c.bucket == bucket) & (uploads.c.key == key))

    def waiting(self, limit: int, *, after: str | None = None) -> Sequence[Upload]:
        statement = select(*_COLUMNS).where(uploads.c.arrived_at.is_(None)).order_by(uploads.c.id).limit(limit)
        if after is not None:
            statement = statement.where(uploads.c.id > after)
        return [_upload(row) for row in self._connection.execute(statement)]

    def mark_arrived(self, upload_id: str, at: datetime, *, etag: str) -> bool:
        statement = (
            update(uploads)
            .where(uploads.c.id == upload_id, uploads.c.arrived_at.is_(None))
            .values(arrived_at=at, etag=etag)
        )
        return self._connection.execute(statement).rowcount > 0

    def remove(self, upload_id: str) -> bool:
        statement = delete(uploads).where(uploads.c.id == upload_id, uploads.c.arrived_at.is_(None))
        return self._connection.execute(statement).rowcount > 0

    def declared_sha256(self, video_id: str) -> str | None:
        statement = select(uploads.c.sha256).where(uploads.c.video_id == video_id)
        return self._connection.execute(statement).scalar()

    def scrub(self, video_id: str) -> None:
        forgotten = update(uploads).where(uploads.c.video_id == video_id).values(sha256=None, etag=None)
        self._connection.execute(forgotten)

    def mark_recommendable(self, video_id: str, at: datetime) -> None:
        statement = (
            update(uploads)
            .where(
                uploads.c.video_id == video_id, uploads.c.arrived_at.is_not(None), uploads.c.recommendable_at.is_(None)
            )
            .values(recommendable_at=at)
            .returning(uploads.c.arrived_at)
        )
        arrived_at = self._connection.execute(statement).scalar()
        if arrived_at is not None:
            self._count(max(0.0, (at - arrived_at).total_seconds()))

    def seconds_to_recommendable(self) -> tuple[Mapping[float, int], float]:
        rows = self._connection.execute(select(upload_seconds)).all()
        counts = dict.fromkeys([*BOUNDS, float("inf")], 0)
        for row in rows:
            bound = float("inf") if row.bound >= BEYOND else row.bound
            counts[bound] = counts.get(bound, 0) + row.uploads
        return dict(sorted(counts.items())), sum(row.seconds for row in rows)

    def _count(self, seconds: float) -> None:
        place = bisect_left(BOUNDS, seconds)
        bound = BOUNDS[place] if place < len(BOUNDS) else BEYOND
        more = {"uploads": upload_seconds.c.uploads + 1, "seconds": upload_seconds.c.seconds + seconds}
        self._connection.execute(
            upsert(self._connection, upload_seconds)
            .values(bound=bound, uploads=1, seconds=seconds)
            .on_conflict_do_update(index_elements=["bound"], set_=more)
        )

    def _one(self, condition: Any) -> Upload | None:
        row = self._connection.execute(select(*_COLUMNS).where(condition)).first()
        return None if row is None else _upload(row)


def _upload(row: Row[Any]) -> Upload:
    return Upload(**row._mapping)
