"""The database is as large as `vidrec capacity` says, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from tests.contract.sql import MEDIA, new_video
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.jobs import index_job
from vidrec.application.ports import JobQueue
from vidrec.domain.capacity import TOLERANCE, database_bytes
from vidrec.domain.embedding import normalise
from vidrec.domain.models import (
    Candidate,
    Interaction,
    InteractionType,
    Interest,
    RecommendationRecord,
    UserProfile,
    new_id,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VIDEOS, INTERACTIONS, USERS, RECORDS = 1000, 10_000, 200, 200
LISTED = 200
"""Candidates of a record: two interests of a hundred each."""


def held(database: SqlDatabase) -> int:
    """Bytes of all tables and indexes."""
    pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    whole = (
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    with database.snapshot() as uow:
        statement = text(pages if database.dialect == "sqlite" else whole)
        return int(uow.connection.execute(statement).scalar_one())


def grown(database: SqlDatabase, write: Callable[[], object]) -> int:
    before = held(database)
    write()
    return held(database) - before


@pytest.mark.full
def test_the_database_is_as_large_as_said(database: SqlDatabase, queue: JobQueue) -> None:
    ids: list[str] = []

    def videos() -> None:
        with database.transaction() as uow:
            for n in range(VIDEOS):
                video = uow.catalogue.add(new_video(external_id=f"film-{n}", category="films", tags=("a", "b")))
                uow.catalogue.mark_indexed(video.id, model_version="m0c4d1f2a9b3e", media=MEDIA, segment_count=30)
                ids.append(video.id)
            queue.enqueue(uow, [index_job(video_id) for video_id in ids])

    def interactions() -> None:
        events = [
            Interaction(
                user_id=f"{n % USERS:036}",
                video_id=ids[n * 7 % VIDEOS],
                type=InteractionType.WATCH,
                ts=NOW + timedelta(seconds=n),
                event_id=new_id(),
                fraction=0.7,
            )
            for n in range(INTERACTIONS)
        ]
        with database.transaction() as uow:
            uow.interactions.append(events)

    def profiles() -> None:
        embeddings = normalise(np.random.default_rng(1).standard_normal((2, 512)).astype(np.float32))
        interests = tuple(
            Interest(video_id=ids[i], embedding=e, importance=0.5, members=tuple(ids[10 * i : 10 * i + 10]))
            for i, e in enumerate(embeddings)
        )
        with database.transaction() as uow:
            for n in range(USERS):
                uow.profiles.put(
                    UserProfile(user_id=f"{n:036}", model_version="m0c4d1f2a9b3e", interests=interests, cutoff=1)
                )

    def records() -> None:
        with database.transaction() as uow:
            for n in range(RECORDS):
                uow.recommendations.add(record(f"{n:036}", [new_id() for _ in range(LISTED)]))

    expected = {
        videos: database_bytes(VIDEOS),
        interactions: database_bytes(0, INTERACTIONS),
        profiles: database_bytes(0, 0, USERS),
        records: database_bytes(0, 0, 0, RECORDS),
    }
    ratios = {write.__name__: grown(database, write) / size for write, size in expected.items()}
    assert all(1 / TOLERANCE <= ratio <= TOLERANCE for ratio in ratios.values()), ratios
    assert sum(ratios.values()) == pytest.approx(len(ratios), rel=0.5), ratios


def record(user_id: str, ids: list[str]) -> RecommendationRecord:
    rng = np.random.default_rng(len(ids))
    return RecommendationRecord(
        id=new_id(),
        user_id=user_id,
        created_at=NOW,
        model_version="m0c4d1f2a9b3e",
        code_version="1.0",
        strategy="content",
        degraded=False,
        interaction_cutoff=7,
        interests=(),
        parameters={"n": 20, "category": None, "exclude": []},
        candidates=tuple(
            Candidate(video_id=v, score=float(score), source="similar", interest=0)
            for v, score in zip(ids, rng.random(len(ids)), strict=True)
        ),
    )
