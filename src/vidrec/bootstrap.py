"""The only place where ports meet adapters. Each function builds one thing from the settings; imports are local so that
a process loads only what it uses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidrec.application.access import Access, AccessPolicy
from vidrec.application.originals import ORIGINALS
from vidrec.application.ports import (
    Database,
    Encoder,
    FrameSource,
    JobQueue,
    MediaStore,
    ObjectLibrary,
    Observe,
    Observers,
    Renderer,
    UploadReceiver,
    UploadStore,
    VectorIndex,
    unobserved,
)
from vidrec.application.render_video import RENDITIONS
from vidrec.application.services import Services
from vidrec.application.upload import UploadPolicy, Uploads
from vidrec.application.worker import Worker
from vidrec.domain.errors import InvalidInput, SchemaOutdated, StoreUnavailable
from vidrec.settings import Settings
from vidrec.telemetry import Telemetry, WorkerTelemetry

if TYPE_CHECKING:
    from vidrec.adapters.s3 import S3, S3Options

log = logging.getLogger(__name__)

_SWEEP_BUCKETS_EVERY_S = 3600.0
"""Looking for abandoned uploads is a request to each bucket; `vidrec s3 lifecycle` lets the store do it."""


def open_database(settings: Settings, *, observe: Observe = unobserved) -> Database:
    """The SQL store; on the embedded default the data folder and the schema are made where they are not there.
    Elsewhere SchemaOutdated where `vidrec migrate` must be run first; a store that does not answer now may do so
    later."""
    from vidrec.adapters.sql import Connections, SqlDatabase, migrate

    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(settings.sql_url)
    bounds = Connections(
        pool_size=settings.database_pool_size,
        pool_overflow=settings.database_pool_overflow,
        connect_timeout_s=settings.database_connect_timeout_s,
        statement_timeout_s=settings.database_statement_timeout_s,
    )
    database = SqlDatabase(settings.sql_url, bounds, observe=observe)
    try:
        database.ping()
    except SchemaOutdated:
        database.close()
        raise
    except StoreUnavailable as error:
        log.info("starting without SQL: %s", error)
    return database


def open_queue(settings: Settings, database: Database, *, listening: bool = False) -> JobQueue:
    """The job queue in the same SQL store. `listening`: for whoever asks it for jobs all the time."""
    from vidrec.adapters.sql import SqlDatabase

    assert isinstance(database, SqlDatabase)
    if database.dialect == "postgresql":
        from vidrec.adapters.procrastinate_arrivals import Arrivals
        from vidrec.adapters.procrastinate_queue import ProcrastinateQueue

        arrivals = Arrivals(database) if listening else None  # ends with the process
        return ProcrastinateQueue(database, max_attempts=settings.max_attempts, arrivals=arrivals)
    from vidrec.adapters.sqlite_queue import SqliteQueue

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


@cache
def open_s3(options: S3Options) -> S3:
    """The object store; connects at the first call."""
    from vidrec.adapters.s3 import S3

    return S3(options)


def open_object_store(settings: Settings) -> S3:
    """The object store of the settings, whether or not it is the media store."""
    from vidrec.adapters.s3 import S3Options

    return open_s3(
        S3Options(
            endpoint=settings.s3_endpoint,
            public_endpoint=settings.s3_public_endpoint,
            region=settings.s3_region,
            path_style=settings.s3_path_style,
        )
    )


def open_media_store(settings: Settings) -> MediaStore:
    """Where originals, thumbnails and frames are kept."""
    if settings.media_url:
        from vidrec.adapters.s3 import S3Store

        bucket, prefix = settings.media_place
        return S3Store(
            open_object_store(settings),
            bucket,
            prefix,
            upload_buckets=settings.buckets,
            scratch=settings.scratch_dir,
            max_scratch_bytes=settings.max_scratch_mb << 20,
        )
    from vidrec.adapters.local_store import LocalStore

    return LocalStore(settings.media_dir)


def _upload_store(settings: Settings) -> tuple[UploadStore, UploadReceiver | None]:
    if settings.media_url:
        from vidrec.adapters.s3 import S3Uploads

        store = S3Uploads(
            open_object_store(settings), places=_own_places(settings), sweep_every_s=_SWEEP_BUCKETS_EVERY_S
        )
        return store, None
    from vidrec.adapters.local_uploads import LocalUploads

    local = LocalUploads(settings.media_dir, settings.signing_secret)
    return local, local


def open_library(settings: Settings) -> ObjectLibrary:
    """Libraries that are in the object store; InvalidInput where media are not kept there."""
    from vidrec.adapters.s3 import S3Library

    if not settings.media_url:
        raise InvalidInput(
            "videos are taken from an object store only where pictures are kept in one: set VIDREC_MEDIA_URL",
            field="VIDREC_MEDIA_URL",
        )
    return S3Library(open_object_store(settings), own=_own_places(settings))


def _own_places(settings: Settings) -> list[tuple[str, str]]:
    """(bucket, prefix) of all videos that vidrec itself keeps in the object store."""
    bucket, prefix = settings.media_place
    return [*((name, ORIGINALS) for name in settings.buckets), (bucket, f"{prefix}/{RENDITIONS}".lstrip("/"))]


def media_buckets(settings: Settings) -> tuple[str, ...]:
    """The buckets that the settings name, where media are kept in an object store."""
    if not settings.media_url:
        return ()
    return tuple(dict.fromkeys([*settings.buckets, settings.media_place[0]]))


def media_origins(settings: Settings) -> tuple[str, ...]:
    """Where else than from the API the pages load videos from, and send them to."""
    return open_object_store(settings).origins() if settings.media_url else ()


def open_uploads(settings: Settings, database: Database, queue: JobQueue) -> Uploads:
    """The uploads into the media store."""
    store, receiver = _upload_store(settings)
    policy = UploadPolicy(
        buckets=settings.buckets,
        suffixes=frozenset(f".{name.lower()}" for name in ("webm", *settings.upload_suffixes)),
        max_bytes=settings.max_upload_bytes,
        url_lifetime_s=settings.upload_url_s,
        parts_lifetime_s=settings.upload_hours * 3600,
        max_open=settings.max_open_uploads,
    )
    return Uploads(database, queue, open_media_store(settings), store, receiver, policy)


def open_access(settings: Settings, database: Database) -> Access | None:
    """Who may call; None where nobody needs a key."""
    if settings.auth == "off":
        return None
    from vidrec.adapters.signing import Signer

    policy = AccessPolicy(
        session_s=settings.session_hours * 3600, link_s=settings.link_s, rate_per_minute=settings.rate_per_minute
    )
    return Access(database, lambda purpose: Signer(settings.signing_secret, purpose), policy)


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
    queue = open_queue(settings, database, listening=True)
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
            drain_s=settings.drain_s,
            recommendation_days=settings.recommendation_days,
            job_days=settings.job_days,
            split_s=settings.split_s,
            sweep=open_uploads(settings, database, queue).sweep,
            observers=Observers(telemetry.observe("worker"), telemetry.around_job),
        )
    finally:
        index.close()
        database.close()
