"""The tables. Written for SQLite and PostgreSQL alike: portable types, times as UTC, ids as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

SCHEMA_REVISION = "0008"
"""The Alembic revision that this code needs; a test compares it with the newest migration."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in and out, also where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def upsert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT into the table that can say what is to happen `on_conflict_...`; both databases say it alike."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _id(name: str, **more: Any) -> Column[Any]:
    return Column(name, String(36), **more)


videos = Table(
    "videos",
    metadata,
    _id("id", primary_key=True),
    Column("external_id", Text),
    Column("title", Text, nullable=False),
    Column("title_folded", Text, nullable=False),
    Column("category", Text),
    Column("tags", JSON, nullable=False),
    Column("url", Text),
    Column("location", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("source_mtime_ns", BigInteger),
    Column("status", String(16), nullable=False),
    Column("failure_reason", String(32)),
    Column("failure_message", Text),
    Column("media", JSON),
    Column("segment_count", Integer, nullable=False),
    Column("available", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("indexed_at", UtcDateTime),
    Column("indexed_model", String(64)),
    Column("playback", String(16)),
    Column("rendition", Text),
    Column("deleted_at", UtcDateTime),
    Index(
        "uq_videos_external_id_live",
        "external_id",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_videos_external_id", "external_id"),
    Index("ix_videos_content_sha256", "content_sha256"),
    Index("ix_videos_location", "location", postgresql_using="hash"),
    Index("ix_videos_indexed_at", "indexed_at"),
    Index("ix_videos_category", "category", "id"),
)

video_stats = Table(
    "video_stats",
    metadata,
    _id("video_id", primary_key=True),
    Column("popularity", Float, nullable=False, index=True),
    Column("views", Integer, nullable=False),
    Column("watches", Integer, nullable=False),
    Column("likes", Integer, nullable=False),
    Column("dislikes", Integer, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    # SQLite numbers rows by itself only where the key is INTEGER.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("user_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    _id("video_id", nullable=False),
    Column("type", String(16), nullable=False),
    Column("ts", UtcDateTime, nullable=False),
    Column("fraction", Float),
    Column("position_s", Float),
    Column("session_id", Text),
    _id("recommendation_id"),
    UniqueConstraint("user_id", "event_id"),
    Index("ix_interactions_user_seq", "user_id", "seq"),
    Index("ix_interactions_video", "video_id"),
    sqlite_autoincrement=True,
)

profiles = Table(
    "profiles",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("cutoff", BigInteger, nullable=False),
    Column("interests", JSON, nullable=False),
    Column("embeddings", LargeBinary, nullable=False),
)

profile_members = Table(
    "profile_members",
    metadata,
    _id("video_id", primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Index("ix_profile_members_user", "user_id", "model_version"),
)

recommendations = Table(
    "recommendations",
    metadata,
    _id("id", primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_recommendations_user", "user_id"),
    Index("ix_recommendations_created_at", "created_at"),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("trained", Boolean, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

active_model = Table(
    "active_model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", String(64), nullable=False),
    Column("activated_at", UtcDateTime, nullable=False),
    Column("previous", String(64)),
    Column("prepared", String(64)),
)

indexings = Table(
    "indexings",
    metadata,
    _id("video_id", primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("segment_count", Integer, nullable=False),
    Column("indexed_at", UtcDateTime),
    Column("failure_reason", String(32)),
    Column("failure_message", Text),
    Index("ix_indexings_model_version", "model_version"),
)

splits = Table(
    "splits",
    metadata,
    _id("video_id", primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("media", JSON, nullable=False),
    Column("changes", Integer, nullable=False),
)

split_ranges = Table(
    "split_ranges",
    metadata,
    _id("video_id", primary_key=True),
    Column("model_version", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("start_s", Float, nullable=False),
    Column("end_s", Float, nullable=False),
    _id("job_id", nullable=False),
    Column("decoded_s", Float, nullable=False),
    Column("finished", Boolean, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    _id("id", primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("looked_at", UtcDateTime),
    Column("probes", Integer),
    Column("looks", JSON),
    Index("ix_receipts_subject", "kind", "subject"),
)

jobs = Table(
    "jobs",
    metadata,
    _id("id", primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("payload", JSON, nullable=False),
    _id("video_id", index=True),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("run_at", UtcDateTime, nullable=False),
    Column("lease_token", String(36)),
    Column("lease_until", UtcDateTime),
    Column("last_error", Text),
    Column("dedupe_key", Text),
    Column("finished_at", UtcDateTime),
    Index("ix_jobs_due", "state", "priority", "run_at"),
    Index(
        "uq_jobs_dedupe_live",
        "dedupe_key",
        unique=True,
        sqlite_where=text("state IN ('queued', 'running')"),
        postgresql_where=text("state IN ('queued', 'running')"),
    ),
)

uploads = Table(
    "uploads",
    metadata,
    _id("id", primary_key=True),
    _id("video_id", nullable=False, unique=True),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("part_size", BigInteger),
    Column("store_id", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("arrived_at", UtcDateTime),
    Column("etag", Text),
    Column("recommendable_at", UtcDateTime),
    Column("key_id", String(16)),
    UniqueConstraint("bucket", "key"),
    Index(
        "ix_uploads_waiting",
        "id",
        sqlite_where=text("arrived_at IS NULL"),
        postgresql_where=text("arrived_at IS NULL"),
    ),
    Index("ix_uploads_key_id", "key_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("user_id", Text),
    Column("rate_per_minute", Integer),
    Column("quota_bytes", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)

upload_seconds = Table(
    "upload_seconds",
    metadata,
    Column("bound", Float, primary_key=True, autoincrement=False),
    Column("uploads", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
)

progress_notes = Table(
    "progress_notes",
    metadata,
    _id("video_id", primary_key=True),
    Column("stage", String(16), nullable=False),
    Column("done", Integer),
    Column("total", Integer),
)
