"""User profiles in SQL: the interests as JSON, their embeddings as little-endian float32 in one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from vidrec.adapters.sql.schema import profile_members, profiles, upsert
from vidrec.domain.models import Interest, UserProfile

_FLOAT = np.dtype("<f4")


class SqlProfiles:
    """Implements the Profiles port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, user_id: str, model_version: str) -> UserProfile | None:
        row = self._connection.execute(
            select(profiles).where(profiles.c.user_id == user_id, profiles.c.model_version == model_version)
        ).first()
        return None if row is None else _profile(row)

    def put(self, profile: UserProfile) -> None:
        key = {"user_id": profile.user_id, "model_version": profile.model_version}
        interests = [
            {"video_id": i.video_id, "importance": i.importance, "members": list(i.members)} for i in profile.interests
        ]
        embeddings = b"".join(i.embedding.astype(_FLOAT).tobytes() for i in profile.interests)
        values = {"cutoff": profile.cutoff, "interests": interests, "embeddings": embeddings}
        put = self._connection.execute(
            upsert(self._connection, profiles)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=[*key], set_=values, where=profiles.c.cutoff <= profile.cutoff)
            .returning(profiles.c.cutoff)
        ).first()
        if put is None:
            return
        # The row of the profile is ours to the end of the transaction, and so are its members.
        self._connection.execute(
            delete(profile_members).where(*(profile_members.c[name] == value for name, value in key.items()))
        )
        members = {video_id for i in profile.interests for video_id in i.members}
        if members:
            self._connection.execute(insert(profile_members), [{**key, "video_id": v} for v in sorted(members)])

    def erase_user(self, user_id: str) -> None:
        for table in (profiles, profile_members):
            self._connection.execute(delete(table).where(table.c.user_id == user_id))

    def erase_video(self, video_id: str) -> None:
        users = self._connection.execute(
            select(profile_members.c.user_id).where(profile_members.c.video_id == video_id).distinct()
        ).scalars()
        for user_id in list(users):
            self.erase_user(user_id)


def _profile(row: Any) -> UserProfile:
    stored: Sequence[dict[str, Any]] = row.interests
    vectors = np.frombuffer(row.embeddings, dtype=_FLOAT).reshape(len(stored), -1 if stored else 0)
    interests = tuple(
        Interest(video_id=i["video_id"], embedding=vector, importance=i["importance"], members=tuple(i["members"]))
        for i, vector in zip(stored, vectors, strict=True)
    )
    return UserProfile(user_id=row.user_id, model_version=row.model_version, interests=interests, cutoff=row.cutoff)
