"""All settings, read once by whoever starts a process. Every one is an environment variable `VIDREC_<NAME>`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from vidrec.domain.errors import InvalidInput

ENV_PREFIX = "VIDREC_"
_NOT_SETTINGS = frozenset({"VIDREC_TEST_DATA", "VIDREC_MOVE_TOKEN", "VIDREC_MOVE_PASSWORD"})
"""Variables with our prefix that are read elsewhere: by the tests, by `vidrec index move`."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SUFFIX = re.compile(r"[A-Za-z0-9]{1,10}")
_DEFAULT_MILVUS_URI = "http://127.0.0.1:19530"


class Settings(BaseSettings):
    """Frozen. Relative paths are relative to the working directory of the process."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path("data"), description="Folder of the embedded stores: SQL, vectors, media, models."
    )
    database_url: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in the data folder.")
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
    host: str = Field(default="127.0.0.1", description="Address on which the API listens.")
    port: int = Field(default=3000, ge=0, le=65535, description="Port of the API; 0: any free one.")
    public_url: str = Field(
        default="", description="Address at which clients reach the API; empty: links are relative."
    )
    max_image_bytes: int = Field(default=10 << 20, gt=0, description="Largest picture taken by `POST /search/image`.")
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

    @field_validator("upload_suffixes")
    @classmethod
    def _are_suffixes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in names if not _SUFFIX.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r} is no suffix: 1 to 10 letters and digits, without a dot")
        return names

    @cached_property
    def sql_url(self) -> str:
        """SQLAlchemy URL of the SQL store."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'vidrec.db'}"

    @property
    def embedded_milvus(self) -> bool:
        """Whether `vidrec run` brings a Milvus Lite of its own: no other Milvus is named."""
        return self.milvus_uri == _DEFAULT_MILVUS_URI

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def media_dir(self) -> Path:
        return self.data_dir / "media"

    @property
    def vectors_dir(self) -> Path:
        return self.data_dir / "vectors"

    @property
    def upload_secret(self) -> Path:
        """File of the key that signs addresses for uploads."""
        return self.data_dir / "upload.secret"

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
    # The encoder's own settings are read by its service, see bento/settings.py.
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
        name = ENV_PREFIX + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise InvalidInput(f"{name}: {first['msg']} (got {first['input']!r})", field=name) from None
