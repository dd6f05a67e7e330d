"""Locks that hold to the end of a PostgreSQL transaction, for what no row or constraint holds: that nobody else does
the same between a read and a write. On SQLite there is one writer at a time, so they do nothing.

They are advisory locks on numbered buckets, not on each value: a transaction may name thousands of values, and the
server's table of locks is bounded. Two values that share a bucket wait for each other; that costs milliseconds. Buckets
are taken in ascending order, so that two transactions of one kind never wait for each other in a ring."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from sqlalchemy import Connection, text

from vidrec.adapters.sql.engine import is_writing

# Numbers of the kinds of locks, which are the first of the two numbers of an advisory lock.
_USERS, _VIDEOS, _BYTES = 7_326_574, 7_326_575, 7_326_576
_MANY, _FEW = 256, 64
"""What many transactions hold at once, shared, gets few buckets: each holder counts in the server's table."""


def lock_users(connection: Connection, user_ids: Iterable[str]) -> None:
    """Nobody else appends interactions of these users: their sequence numbers become visible in ascending order."""
    _lock(connection, "pg_advisory_xact_lock", _USERS, _MANY, user_ids)


def lock_bytes(connection: Connection, digests: Iterable[str]) -> None:
    """Nobody else looks for videos of these bytes in order to add those that are missing."""
    _lock(connection, "pg_advisory_xact_lock", _BYTES, _MANY, digests)


def keep_videos(connection: Connection, video_ids: Iterable[str]) -> None:
    """Nobody deletes these videos; several may hold this."""
    _lock(connection, "pg_advisory_xact_lock_shared", _VIDEOS, _FEW, video_ids)


def lock_video(connection: Connection, video_id: str) -> None:
    """Waits for all who keep this video, and lets nobody else until the end."""
    _lock(connection, "pg_advisory_xact_lock", _VIDEOS, _FEW, [video_id])


def _lock(connection: Connection, function: str, kind: int, buckets: int, values: Iterable[str]) -> None:
    if connection.dialect.name != "postgresql" or not is_writing(connection):
        return
    wanted = sorted({crc32(value.encode()) % buckets for value in values})
    statement = text(f"SELECT {function}({kind}, bucket) FROM unnest(CAST(:buckets AS integer[])) AS bucket")
    connection.execute(statement, {"buckets": wanted})
