"""Keys in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from vidrec.adapters.sql.schema import api_keys, uploads, videos
from vidrec.domain.access import ApiKey, Role
from vidrec.domain.errors import FailureReason


class SqlKeyRecords:
    """Implements the KeyRecords port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: ApiKey) -> None:
        self._connection.execute(insert(api_keys).values(asdict(key)))

    def get(self, key_id: str) -> ApiKey | None:
        return self._one(select(api_keys).where(api_keys.c.id == key_id))

    def lock(self, key_id: str) -> ApiKey | None:
        # SQLite has one writer at a time, and no such clause.
        return self._one(select(api_keys).where(api_keys.c.id == key_id).with_for_update())

    def all(self) -> Sequence[ApiKey]:
        statement = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        return [_key(row) for row in self._connection.execute(statement)]

    def revoke(self, key_id: str, at: datetime) -> bool:
        statement = (
            update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=at)
        )
        return self._connection.execute(statement).rowcount > 0

    def uploader(self, video_id: str) -> str | None:
        statement = select(uploads.c.key_id).where(uploads.c.video_id == video_id)
        found: str | None = self._connection.execute(statement).scalar()
        return found

    def open_uploads(self, key_id: str | None, limit: int) -> int:
        its = uploads.c.key_id.is_(None) if key_id is None else uploads.c.key_id == key_id
        some = select(uploads.c.id).where(uploads.c.arrived_at.is_(None), its).limit(limit)
        return int(self._connection.execute(select(func.count()).select_from(some.subquery())).scalar_one())

    def bytes_kept(self, key_id: str) -> int:
        # What a store could not refuse beforehand was removed again.
        removed = (FailureReason.TOO_LARGE.value, FailureReason.EMPTY.value)
        statement = (
            select(func.coalesce(func.sum(videos.c.size_bytes), 0))
            .join(uploads, uploads.c.video_id == videos.c.id)
            .where(
                uploads.c.key_id == key_id,
                videos.c.deleted_at.is_(None),
                func.coalesce(videos.c.failure_reason, "").not_in(removed),
            )
        )
        return int(self._connection.execute(statement).scalar_one())

    def _one(self, statement: Select[Any]) -> ApiKey | None:
        row = self._connection.execute(statement).first()
        return None if row is None else _key(row)


def _key(row: Row[Any]) -> ApiKey:
    values = dict(row._mapping)
    return ApiKey(**{**values, "role": Role(values["role"])})
