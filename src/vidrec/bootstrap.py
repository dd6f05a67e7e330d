"""The only place where ports meet adapters. Each function builds one thing from the settings; imports are local so that
a process loads only what it uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidrec.application.ports import (
    Database,
    Encoder,
    FrameSource,
    JobQueue,
    MediaStore,
    Observe,
    Observers,
    Renderer,
    VectorIndex,
    unobserved,
)
from vidrec.application.services import Services
from vidrec.application.upload import UploadPolicy, Uploads
from vidrec.application.worker import Worker
from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings
from vidrec.telemetry import Telemetry, WorkerTelemetry


def open_database(settings: Settings, *, observe: Observe = unobserved) -> Database:
    """The SQL store; on the embedded default the data folder and the schema are made where they are not there."""
    from vidrec.adapters.sql import SqlDatabase, migrate

    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(settings.sql_url)
    return SqlDatabase(settings.sql_url, observe=observe)


def open_queue(settings: Settings, database: Database) -> JobQueue:
    """The job queue in the same SQL store."""
    from vidrec.adapters.sql import SqlDatabase
    from vidrec.adapters.sqlite_queue import SqliteQueue

    assert isinstance(database, SqlDatabase)
    return SqliteQueue(database, max_attempts=settings.max_attempts)


def open_index(settings: Settings, *, observe: Observe = unobserved) -> VectorIndex:
    """The vector index; connects at the first call."""
    from vidrec.adapters.milvus import Access, Hnsw, MilvusIndex

    if settings.milvus_token and settings.milvus_user:
        raise InvalidInput("VIDREC_MILVUS_TOKEN and VIDREC_MILVUS_USER: set one of them", field="VIDREC_MILVUS_TOKEN")
    if bool(settings.milvus_user) != bool(settings.milvus_password):
        raise InvalidInput("VIDREC_MILVUS_USER and VIDREC_MILVUS_PASSWORD: set both", field="VIDREC_MILVUS_USER")
    user = f"{settings.milvus_user}:{settings.milvus_password}" if settings.milvus_user else ""
    access = Access(
        settings.milvus_uri,
        token=settings.milvus_token or user,
        database=settings.milvus_database,
        certificate=Path(settings.milvus_certificate) if settings.milvus_certificate else None,
    )
    hnsw = Hnsw(settings.milvus_hnsw_m, settings.milvus_hnsw_ef_construction, settings.milvus_hnsw_ef)
    return MilvusIndex(access, timeout_s=settings.milvus_timeout_s, hnsw=hnsw, observe=observe)


def open_encoder(settings: Settings, telemetry: Telemetry | None = None) -> Encoder:
    """The client of the encoder service; connects at the first call."""
    from vidrec.adapters.remote_encoder import RemoteEncoder

    if telemetry is None:
        return RemoteEncoder(settings.encoder_urls, timeout_s=settings.encoder_timeout_s)
    return RemoteEncoder(
        settings.encoder_urls,
        timeout_s=settings.encoder_timeout_s,
        headers=telemetry.headers,
        observe=telemetry.observe("encoder"),
    )


def open_media_store(settings: Settings) -> MediaStore:
    """Where originals, thumbnails and frames are kept."""
    from vidrec.adapters.local_store import LocalStore

    return LocalStore(settings.media_dir)


def open_uploads(settings: Settings, database: Database, queue: JobQueue) -> Uploads:
    """The uploads into the media store."""
    from vidrec.adapters.local_uploads import LocalUploads

    store = LocalUploads(settings.media_dir, settings.upload_secret)
    policy = UploadPolicy(
        buckets=settings.buckets,
        suffixes=frozenset(f".{name.lower()}" for name in ("webm", *settings.upload_suffixes)),
        max_bytes=settings.max_upload_bytes,
        url_lifetime_s=settings.upload_url_s,
        parts_lifetime_s=settings.upload_hours * 3600,
    )
    return Uploads(database, queue, open_media_store(settings), store, store, policy)


def open_frame_source(settings: Settings) -> FrameSource:
    """ffmpeg in limited child processes."""
    from vidrec.adapters.ffmpeg import FfmpegFrameSource

    return FfmpegFrameSource(
        max_decode_s=settings.max_decode_s,
        max_memory_bytes=settings.max_decode_memory_mb << 20,
        max_pixels=settings.max_pixels,
    )


def open_renderer(settings: Settings) -> Renderer:
    """ffmpeg in limited child processes, for copies that browsers play."""
    from vidrec.adapters.ffmpeg import FfmpegRenderer

    return FfmpegRenderer(
        scratch=settings.data_dir,
        max_render_s=settings.max_render_s,
        max_memory_bytes=settings.max_decode_memory_mb << 20,
        max_pixels=settings.max_pixels,
    )


def open_services(settings: Settings, telemetry: Telemetry) -> Services:
    """All that one API process serves; close it at the end."""
    from vidrec.adapters.picture import read_picture

    database = open_database(settings, observe=telemetry.observe("sql"))
    queue = open_queue(settings, database)
    return Services.compose(
        database=database,
        index=open_index(settings, observe=telemetry.observe("milvus")),
        queue=queue,
        store=open_media_store(settings),
        encoder=open_encoder(settings, telemetry),
        read_picture=read_picture,
        uploads=open_uploads(settings, database, queue),
        popular_refresh_s=settings.popular_refresh_s,
        candidates_per_interest=settings.candidates_per_interest,
        diversity=settings.diversity,
    )


@contextmanager
def open_worker(settings: Settings, *, concurrency: int, telemetry: WorkerTelemetry) -> Iterator[Worker]:
    """A worker over the settings' stores, which are closed at the end of the block."""
    database = open_database(settings, observe=telemetry.observe("sql"))
    index = open_index(settings, observe=telemetry.observe("milvus"))
    queue = open_queue(settings, database)
    try:
        yield Worker(
            database,
            queue,
            index,
            open_frame_source(settings),
            open_encoder(settings, telemetry),
            open_media_store(settings),
            renderer=open_renderer(settings),
            lease_s=settings.lease_s,
            poll_s=settings.poll_s,
            concurrency=concurrency,
            recommendation_days=settings.recommendation_days,
            sweep=open_uploads(settings, database, queue).sweep,
            observers=Observers(telemetry.observe("worker"), telemetry.around_job),
        )
    finally:
        index.close()
        database.close()
