"""All settings, read once by whoever starts a process. Every one is an environment variable `VIDREC_<NAME>`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from vidrec.domain.errors import InvalidInput

ENV_PREFIX = "VIDREC_"
_NOT_SETTINGS = frozenset({"VIDREC_TEST_DATA", "VIDREC_MOVE_TOKEN", "VIDREC_MOVE_PASSWORD", "VIDREC_API_KEY"})
"""Variables with our prefix that are read elsewhere: by the tests, by `vidrec index move`, by clients of the API."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]+")
_SUFFIX = re.compile(r"[A-Za-z0-9]{1,10}")
_SECRET_LENGTH = 32
_DEFAULT_MILVUS_URI = "http://127.0.0.1:19530"


class Settings(BaseSettings):
    """Frozen. Relative paths are relative to the working directory of the process."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path("data"), description="Folder of the embedded stores: SQL, vectors, media, models."
    )
    database_url: str = Field(
        default="",
        description="`postgresql://user:password@host/name`; empty: SQLite in the data folder.",
        repr=False,
    )
    database_pool_size: int = Field(default=5, ge=1, description="SQL connections that a process keeps open.")
    database_pool_overflow: int = Field(
        default=25, ge=0, description="More that it opens while it needs them; the API needs 24 in all at most."
    )
    database_connect_timeout_s: float = Field(
        default=3.0, ge=2, description="PostgreSQL: longest wait for a connection, in seconds."
    )
    database_statement_timeout_s: float = Field(
        default=30.0, ge=0, description="PostgreSQL: longest run of one statement, in seconds; 0: no bound."
    )
    milvus_uri: str = Field(
        default=_DEFAULT_MILVUS_URI,
        description="Address of the Milvus server; `vidrec run` brings its own unless another is named.",
    )
    milvus_token: str = Field(
        default="", description="`user:password` for Milvus, or a token of its own; empty: none.", repr=False
    )
    milvus_user: str = Field(default="", description="User at Milvus, instead of a token.")
    milvus_password: str = Field(default="", description="That user's password.", repr=False)
    milvus_database: str = Field(
        default="",
        description="Database at Milvus, made where it is missing and that is allowed; empty: the default one.",
    )
    milvus_certificate: str = Field(
        default="",
        description="PEM file that an https Milvus is checked by: its certificate or its CA's; empty: the usual CAs.",
    )
    milvus_timeout_s: float = Field(
        default=5.0, gt=0, description="Longest wait for Milvus in one request, or in one read or write, in seconds."
    )
    milvus_hnsw_m: int = Field(
        default=16,
        ge=4,
        le=64,
        description="HNSW on a Milvus server: links of a vector; for collections made from now on.",
    )
    milvus_hnsw_ef_construction: int = Field(
        default=200, ge=8, le=512, description="HNSW: breadth of the search when a vector is added; as above."
    )
    milvus_hnsw_ef: int = Field(
        default=64,
        ge=1,
        le=32768,
        description="HNSW: least breadth of a search; twice what is asked for where that is more.",
    )
    encoder_urls: tuple[str, ...] = Field(
        default=("http://127.0.0.1:3001",),
        min_length=1,
        description="Addresses of encoders, as a JSON list; every address that a host name stands for is one.",
    )
    encoder_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest wait for one batch of frames, in seconds."
    )
    drain_s: float = Field(
        default=10.0,
        ge=0,
        description="How long a process that is told to end goes on with what it began, in seconds: requests, jobs, "
        "frames. A worker then gives its jobs back.",
    )
    host: str = Field(default="127.0.0.1", description="Address on which the API listens.")
    port: int = Field(default=3000, ge=0, le=65535, description="Port of the API; 0: any free one.")
    public_url: str = Field(
        default="", description="Address at which clients reach the API; empty: links are relative."
    )
    auth: Literal["off", "keys"] = Field(
        default="off", description="`keys`: every request needs a key (`vidrec keys create`); `off`: none does."
    )
    allow_open: bool = Field(
        default=False, description="Let the API listen where other machines reach it although `VIDREC_AUTH` is off."
    )
    secret: str = Field(
        default="",
        repr=False,
        description="What links, sessions and addresses for uploads are signed with, at least 32 characters, the same "
        "for all processes of the API; empty: made once and kept in the data folder.",
    )
    link_s: float = Field(
        default=3600.0, ge=60, description="How long a link to media works by itself while keys are needed, in seconds."
    )
    session_hours: float = Field(default=12.0, gt=0, description="How long a browser stays signed in, in hours.")
    rate_per_minute: int = Field(
        default=6000,
        ge=0,
        description="Requests a minute of a key that has no number of its own, counted by each process; 0: any.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description='Origins whose pages may call the API, as a JSON list; `["*"]`: all.'
    )
    max_image_bytes: int = Field(default=10 << 20, gt=0, description="Largest picture taken by `POST /search/image`.")
    media_url: str = Field(
        default="",
        description="Where pictures and copies are kept: `s3://bucket` or `s3://bucket/prefix`, and uploads go to the "
        "buckets of `VIDREC_BUCKETS` then; empty: everything in the data folder.",
    )
    media_url_s: float = Field(
        default=300.0,
        ge=30,
        le=3600,
        description="How long an address of the object store holds that viewers are sent to, in seconds; a video's "
        "holds for its length besides.",
    )
    s3_endpoint: str = Field(default="", description="Address of the object store; empty: Amazon's.")
    s3_public_endpoint: str = Field(
        default="", description="Address of the object store for browsers and producers; empty: the same."
    )
    s3_region: str = Field(default="", description="Region of the object store; empty: as AWS clients find it.")
    s3_path_style: bool = Field(
        default=False, description="Name the bucket in the path, not in the host: most stores but Amazon's want it."
    )
    max_scratch_mb: int = Field(
        default=1024,
        ge=64,
        description="How much of a video in the object store is on the disk of a worker while it is looked into.",
    )
    notification_token: str = Field(
        default="",
        repr=False,
        description="Secret that notifications of the object store must show; empty: none are taken.",
    )
    sns_topics: tuple[str, ...] = Field(
        default=(), description="ARNs of the SNS topics whose subscription is confirmed, as a JSON list."
    )
    buckets: tuple[str, ...] = Field(
        default=("videos",), min_length=1, description="Names of the buckets that take uploads, as a JSON list."
    )
    upload_suffixes: tuple[str, ...] = Field(
        default=("mp4", "mkv", "mov", "avi", "ogv", "m4v"),
        description="How the names of uploaded files may end, beside webm, as a JSON list.",
    )
    max_upload_bytes: int = Field(default=20 << 30, gt=0, description="Largest file that is taken by upload.")
    upload_url_s: float = Field(
        default=900.0, ge=1, le=900, description="How long a signed address may be used, in seconds; at most 900."
    )
    upload_hours: float = Field(default=24.0, gt=0, description="How long an upload in parts may take, in hours.")
    max_open_uploads: int = Field(
        default=1000, ge=1, description="So many uploads of one key may be announced and not there yet."
    )
    max_event_streams: int = Field(
        default=100, ge=1, description="So many clients of one API process may follow videos at a time."
    )
    candidates_per_interest: int = Field(
        default=100, ge=10, le=1000, description="Videos retrieved for each of a user's interests."
    )
    diversity: float = Field(default=0.3, ge=0, le=1, description="0: by likeness alone; 1: by variety alone (MMR).")
    popular_refresh_s: float = Field(
        default=5.0, gt=0, description="How old the in-memory list of popular videos may get."
    )
    lease_s: float = Field(default=30.0, ge=1, description="A worker that is silent for so long loses its job.")
    max_attempts: int = Field(
        default=5, ge=1, description="A job that was started so often without ending is given up."
    )
    split_s: float = Field(
        default=600.0,
        ge=0,
        description="Longer videos are shared by several jobs of this length each, in seconds, rounded up to whole ten "
        "minutes; 0: never.",
    )
    max_decode_s: float = Field(
        default=900.0, gt=0, description="Longest decoding of ten minutes of video, in seconds."
    )
    max_render_s: float = Field(
        default=3600.0,
        gt=0,
        description="Longest computing on a copy that browsers play, for ten minutes of video, in seconds.",
    )
    max_decode_memory_mb: int = Field(default=2048, ge=256, description="Memory limit of the decoding child process.")
    max_pixels: int = Field(default=8192 * 4320, gt=0, description="Frames with more pixels than this are refused.")
    recommendation_days: float = Field(
        default=30.0, gt=0, description="How long answers can be looked up and paged, in days."
    )
    job_days: float = Field(
        default=7.0, gt=0, description="How long jobs that are done or cancelled are kept, in days; dead ones stay."
    )
    poll_s: float = Field(default=0.2, gt=0, description="How often an idle worker looks for work.")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="`text`, or `json`: one object a line; the encoder heeds it too."
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port on which a worker serves its metrics; 0: it does not."
    )
    worker_metrics_host: str = Field(default="127.0.0.1", description="Address on which it does.")

    @field_validator("buckets")
    @classmethod
    def _names_buckets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in names if not _BUCKET.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no name of a bucket: 3 to 63 of a-z, 0-9, '.', '-'")
        return names

    @field_validator("media_url")
    @classmethod
    def _names_a_place(cls, url: str) -> str:
        bucket = url.removeprefix("s3://").partition("/")[0]
        if url and not (url.startswith("s3://") and _BUCKET.fullmatch(bucket) and _PREFIX.fullmatch(url, 5)):
            raise ValueError("expected s3://bucket or s3://bucket/prefix, of letters, digits, '.', '_', '-'")
        return url

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query):
            raise ValueError("expected https://host or http://host:port")
        return url.rstrip("/")

    @field_validator("upload_suffixes")
    @classmethod
    def _are_suffixes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in names if not _SUFFIX.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no suffix: 1 to 10 letters and digits, without a dot")
        return names

    @field_validator("secret")
    @classmethod
    def _is_long_enough(cls, secret: str) -> str:
        if secret and len(secret) < _SECRET_LENGTH:
            raise ValueError(f"expected at least {_SECRET_LENGTH} characters")
        return secret

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            plain = parts.netloc and origin == f"{parts.scheme}://{parts.netloc}"
            if origin != "*" and not (plain and parts.scheme in ("http", "https")):
                raise ValueError(f"{origin!r} is no origin: expected such as https://example.com, without a path")
        return origins

    @cached_property
    def sql_url(self) -> str:
        """SQLAlchemy URL of the SQL store."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'vidrec.db'}"

    @property
    def embedded_milvus(self) -> bool:
        """Whether `vidrec run` brings a Milvus Lite of its own: no other Milvus is named."""
        return self.milvus_uri == _DEFAULT_MILVUS_URI

    @property
    def media_place(self) -> tuple[str, str]:
        """Bucket and prefix of `media_url`, without the slash between; empty ones where that is empty."""
        bucket, _, prefix = self.media_url.removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def media_dir(self) -> Path:
        return self.data_dir / "media"

    @property
    def scratch_dir(self) -> Path:
        """For what a worker holds while it looks into a video that is elsewhere."""
        return self.data_dir / "scratch"

    @property
    def vectors_dir(self) -> Path:
        return self.data_dir / "vectors"

    @property
    def upload_secret(self) -> Path:
        """File of the secret that is used where none is set."""
        return self.data_dir / "upload.secret"

    @property
    def signing_secret(self) -> str | Path:
        """What is signed with, or the file that holds it."""
        return self.secret or self.upload_secret

    def environment(self) -> Mapping[str, str]:
        """The variables that give a child process these settings."""
        values = self.model_dump(mode="json")
        return {f"{ENV_PREFIX}{name.upper()}": _as_variable(value) for name, value in values.items()}


def _as_variable(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value)


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` that are not None win. InvalidInput names the variable."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    # The encoder's own settings are read by its service, see encoder_settings.py.
    for name in sorted(os.environ):
        stray = name.startswith(ENV_PREFIX) and not name.startswith(f"{ENV_PREFIX}ENCODER_")
        if stray and name not in known | _NOT_SETTINGS:
            raise InvalidInput(f"{name} is not a setting; known ones are listed in docs/settings.md", field=name)
    try:
        return Settings.model_validate(
            {**Settings().model_dump(), **{k: v for k, v in overrides.items() if v is not None}}
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(str(part) for part in first["loc"][:1])
        name = ENV_PREFIX + field.upper()
        known_field = Settings.model_fields.get(field)
        got = "" if known_field is not None and not known_field.repr else f" (got {first['input']!r})"
        raise InvalidInput(f"{name}: {first['msg']}{got}", field=name) from None
