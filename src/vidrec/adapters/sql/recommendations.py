"""Recommendation records in SQL. All but what is looked up by is one compressed JSON value, since it is written with
every request and read seldom."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, delete, insert, select, update

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.schema import recommendations
from vidrec.domain.models import Candidate, RecommendationRecord

_FASTEST = 1
_READ_AT_ONCE = 500


class SqlRecommendations:
    """Implements the Recommendations port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, record: RecommendationRecord) -> None:
        self._connection.execute(
            insert(recommendations).values(
                id=record.id,
                user_id=record.user_id,
                created_at=record.created_at,
                model_version=record.model_version,
                body=_pack(record),
            )
        )

    def get(self, recommendation_id: str) -> RecommendationRecord | None:
        row = self._connection.execute(select(recommendations).where(recommendations.c.id == recommendation_id)).first()
        return None if row is None else _unpack(row)

    def erase_user(self, user_id: str) -> None:
        self._connection.execute(delete(recommendations).where(recommendations.c.user_id == user_id))

    def erase_video(self, video_id: str) -> None:
        # Bodies are opaque to SQL, so all are read: an erasure is rare, and records are kept for days only.
        named = video_id.encode()
        holding = [id_ for id_, body in bodies(self._connection) if named in body]
        for batch in in_batches(holding):
            statement = select(recommendations.c.id, recommendations.c.body).where(recommendations.c.id.in_(batch))
            for row in self._connection.execute(statement).all():
                scrubbed = _compress(_without(json.loads(zlib.decompress(row.body)), video_id))
                its = update(recommendations).where(recommendations.c.id == row.id)
                self._connection.execute(its.values(body=scrubbed))

    def prune(self, older_than: datetime) -> int:
        return self._connection.execute(
            delete(recommendations).where(recommendations.c.created_at < older_than)
        ).rowcount


def bodies(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """Id and body, as JSON, of every record; few are in memory at a time."""
    statement = select(recommendations.c.id, recommendations.c.body)
    for row in connection.execute(statement, execution_options={"yield_per": _READ_AT_ONCE}):
        yield row.id, zlib.decompress(row.body)


def _compress(body: dict[str, Any]) -> bytes:
    return zlib.compress(to_json(body), _FASTEST)


def _pack(record: RecommendationRecord) -> bytes:
    return _compress(
        {
            "code_version": record.code_version,
            "strategy": record.strategy,
            "degraded": record.degraded,
            "interaction_cutoff": record.interaction_cutoff,
            "interests": [dict(i) for i in record.interests],
            "parameters": dict(record.parameters),
            "candidates": [[c.video_id, round(c.score, 6), c.source, c.interest] for c in record.candidates],
        }
    )


def _unpack(row: Any) -> RecommendationRecord:
    body = json.loads(zlib.decompress(row.body))
    return RecommendationRecord(
        id=row.id,
        user_id=row.user_id,
        created_at=row.created_at,
        model_version=row.model_version,
        code_version=body["code_version"],
        strategy=body["strategy"],
        degraded=body["degraded"],
        interaction_cutoff=body["interaction_cutoff"],
        interests=tuple(body["interests"]),
        parameters=body["parameters"],
        candidates=tuple(
            Candidate(video_id=v, score=score, source=source, interest=interest)
            for v, score, source, interest in body["candidates"]
        ),
    )


def _without(body: dict[str, Any], video_id: str) -> dict[str, Any]:
    return {
        **body,
        "interests": [
            {
                **interest,
                "video_id": None if interest["video_id"] == video_id else interest["video_id"],
                "members": [v for v in interest["members"] if v != video_id],
            }
            for interest in body["interests"]
        ],
        "parameters": {
            **body["parameters"],
            "exclude": [v for v in body["parameters"].get("exclude", []) if v != video_id],
        },
        # The place stays, so that cursors which were handed out still lead to where they did.
        "candidates": [["", *c[1:]] if c[0] == video_id else c for c in body["candidates"]],
    }
