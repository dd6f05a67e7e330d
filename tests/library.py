"""A small indexed library for tests: families of videos whose embeddings lie close together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.fakes.index import FakeIndex
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.embedding import normalise
from vidrec.domain.models import (
    Embedding,
    Interaction,
    InteractionType,
    MediaInfo,
    ModelVersion,
    NewVideo,
    Segment,
    TimeRange,
    VideoVector,
    new_id,
)
from vidrec.domain.segmentation import video_embedding

DIMENSION = 32
SEGMENTS = 3
START = datetime(2026, 1, 1, tzinfo=UTC)
MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=320, height=180, duration_s=30.0)
MODEL = ModelVersion(version="mtest00000000", name="test", dimension=DIMENSION, trained=False)


@dataclass
class Library:
    """Adds families of indexed videos to a database and an index."""

    database: SqlDatabase
    index: FakeIndex = field(default_factory=FakeIndex)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    families: dict[str, list[str]] = field(default_factory=dict)
    _events: int = 0

    def __post_init__(self) -> None:
        with self.database.transaction() as uow:
            uow.models.register(MODEL)
            uow.models.activate(MODEL.version)
        self.index.create(MODEL)

    def add_family(self, name: str, size: int) -> list[str]:
        """Adds videos `name-1` ... (external ids) of category `name` and answers their ids."""
        centre = normalise(self.rng.normal(size=DIMENSION))
        ids = [self.add(f"{name}-{i + 1}", category=name, near=centre) for i in range(size)]
        self.families[name] = self.families.get(name, []) + ids
        return ids

    def add(self, external_id: str, *, category: str | None = None, near: Embedding, sha256: str | None = None) -> str:
        """Adds one indexed video whose segments lie near the embedding."""
        with self.database.transaction() as uow:
            video = uow.catalogue.add(
                NewVideo(
                    location=f"file:///videos/{external_id}.webm",
                    filename=f"{external_id}.webm",
                    size_bytes=1000,
                    content_sha256=sha256 or new_id().replace("-", "") * 2,
                    external_id=external_id,
                    category=category,
                )
            )
            uow.catalogue.mark_indexed(video.id, model_version=MODEL.version, media=MEDIA, segment_count=SEGMENTS)
        vectors = normalise(near + 0.08 * self.rng.normal(size=(SEGMENTS, DIMENSION)))
        segments = [
            Segment(video_id=video.id, number=i, time=TimeRange(10.0 * i, 10.0 * (i + 1)), embedding=vector)
            for i, vector in enumerate(vectors)
        ]
        self.index.upsert(
            MODEL,
            VideoVector(video_id=video.id, category=category, duration_s=30.0, embedding=video_embedding(segments)),
            segments,
        )
        return video.id

    def family_of(self, video_id: str) -> str:
        return next(name for name, ids in self.families.items() if video_id in ids)

    def act(
        self, user_id: str, video_id: str, type_: InteractionType = InteractionType.LIKE, fraction: float | None = None
    ) -> None:
        """One interaction, a minute after the one before."""
        self._events += 1
        with self.database.transaction() as uow:
            uow.interactions.append(
                [
                    Interaction(
                        user_id=user_id,
                        video_id=video_id,
                        type=type_,
                        ts=START + timedelta(minutes=self._events),
                        event_id=f"e{self._events}",
                        fraction=fraction,
                    )
                ]
            )
