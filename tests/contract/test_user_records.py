"""What profiles, recommendation records, model versions and receipts do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.contract.sql import add_indexed
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import Look
from vidrec.domain.embedding import normalise
from vidrec.domain.errors import NotFound
from vidrec.domain.models import (
    Candidate,
    Interaction,
    InteractionType,
    Interest,
    ModelVersion,
    RecommendationRecord,
    UserProfile,
    new_id,
    utc_now,
)
from vidrec.domain.uploads import Stage, VideoProgress

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def profile(*medoids: str, user: str = "u", model: str = "m1", cutoff: int = 1) -> UserProfile:
    embeddings = normalise(np.random.default_rng(len(medoids)).standard_normal((len(medoids), 16)))
    interests = tuple(
        Interest(video_id=v, embedding=e, importance=1 / len(medoids), members=(v, f"{v}-member"))
        for v, e in zip(medoids, embeddings, strict=True)
    )
    return UserProfile(user_id=user, model_version=model, interests=interests, cutoff=cutoff)


def same(left: UserProfile | None, right: UserProfile) -> bool:
    if left is None or len(left.interests) != len(right.interests):
        return False
    pairs = list(zip(left.interests, right.interests, strict=True))
    if not all(np.array_equal(a.embedding, b.embedding) for a, b in pairs):
        return False
    bare = [replace(a, embedding=b.embedding) for a, b in pairs]
    return replace(left, interests=tuple(bare)) == right


def test_a_profile_is_answered_as_it_was_put(database: SqlDatabase) -> None:
    written = [profile("a", "b"), profile("a", model="m2"), profile(user="v")]
    with database.transaction() as uow:
        for each in written:
            uow.profiles.put(each)
    with database.snapshot() as uow:
        for each in written:
            assert same(uow.profiles.get(each.user_id, each.model_version), each)
        assert uow.profiles.get("u", "m3") is None
        found = uow.profiles.get("u", "m1")
    assert found is not None
    assert found.interests[0].embedding.dtype == np.float32


def test_an_older_profile_never_replaces_a_newer(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        uow.profiles.put(profile("a", cutoff=5))
        uow.profiles.put(profile("b", cutoff=4))
        assert same(uow.profiles.get("u", "m1"), profile("a", cutoff=5))
        uow.profiles.put(profile("c", cutoff=6))
        assert same(uow.profiles.get("u", "m1"), profile("c", cutoff=6))


def test_erasing_takes_the_profiles_that_tell_of_it(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        for user, medoid in (("u", "a"), ("v", "b"), ("w", "c")):
            uow.profiles.put(profile(medoid, user=user))
        uow.profiles.erase_video("a")
        uow.profiles.erase_video("b-member")
        assert uow.profiles.get("u", "m1") is None
        assert uow.profiles.get("v", "m1") is None
        assert uow.profiles.get("w", "m1") is not None
        uow.profiles.erase_user("w")
        assert uow.profiles.get("w", "m1") is None
        uow.profiles.erase_user("w")


def record(user: str = "u", **more: object) -> RecommendationRecord:
    values: dict[str, object] = {
        "id": new_id(),
        "user_id": user,
        "created_at": utc_now(),
        "model_version": "m1",
        "code_version": "1.2",
        "strategy": "personal",
        "degraded": False,
        "interaction_cutoff": 7,
        "interests": ({"video_id": "a", "importance": 0.75, "members": ["a", "b"]},),
        "parameters": {"n": 10, "exclude": ["b", "x"], "category": None},
        "candidates": (
            Candidate(video_id="b", score=0.5, source="similar", interest=0),
            Candidate(video_id="c", score=0.0, source="popular"),
        ),
    }
    return RecommendationRecord(**{**values, **more})  # type: ignore[arg-type]


def test_a_record_is_answered_as_it_was_added(database: SqlDatabase) -> None:
    written = [record(), record(degraded=True, interests=(), candidates=()), record(user="ünï 🎬")]
    with database.transaction() as uow:
        for each in written:
            uow.recommendations.add(each)
    with database.snapshot() as uow:
        for each in written:
            assert uow.recommendations.get(each.id) == each
        assert uow.recommendations.get(new_id()) is None


def test_erasing_a_video_scrubs_it_from_all_records(database: SqlDatabase) -> None:
    one, two = record(), record(user="v")
    with database.transaction() as uow:
        uow.recommendations.add(one)
        uow.recommendations.add(two)
        uow.recommendations.erase_video("b")
        for each in (one, two):
            found = uow.recommendations.get(each.id)
            assert found is not None
            assert [c.video_id for c in found.candidates] == [
                "" if c.video_id == "b" else c.video_id for c in each.candidates
            ], "places stay, for the cursors that lead to them"
            assert found.interests[0]["members"] == ["a"]
            assert found.parameters["exclude"] == ["x"]
        uow.recommendations.erase_video("a")
        found = uow.recommendations.get(one.id)
        assert found is not None
        assert "'a'" not in repr(found)


def test_records_are_erased_by_user_and_by_age(database: SqlDatabase) -> None:
    now = utc_now()
    old, new, other = record(created_at=now - timedelta(days=3)), record(), record(user="v")
    with database.transaction() as uow:
        for each in (old, new, other):
            uow.recommendations.add(each)
        assert uow.recommendations.prune(now - timedelta(days=1)) == 1
        assert uow.recommendations.get(old.id) is None
        uow.recommendations.erase_user("u")
        assert uow.recommendations.get(new.id) is None
        assert uow.recommendations.get(other.id) == other


def model(version: str) -> ModelVersion:
    return ModelVersion(version=version, name="resnet18", dimension=512, trained=False, manifest={"a": [1, {"b": "ü"}]})


def test_one_model_version_is_active(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        assert uow.models.active() is None
        for version in ("m1", "m2", "m1"):
            uow.models.register(model(version))
        assert uow.models.active() is None
        uow.models.activate("m1")
        assert uow.models.active() == model("m1")
        uow.models.activate("m2")
        uow.models.activate("m2")
        assert uow.models.active() == model("m2")
        with pytest.raises(NotFound, match="m3"):
            uow.models.activate("m3")
        assert uow.models.active() == model("m2")
        assert [m.version for m in uow.models.all()] == ["m1", "m2"]


def test_a_receipt_is_open_until_completed(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        receipt = uow.receipts.open("video", "a")
        assert (receipt.kind, receipt.subject, receipt.completed_at) == ("video", "a", None)
        assert uow.receipts.open("video", "a") == receipt
        assert uow.receipts.open("user", "a").id != receipt.id
        uow.receipts.complete(receipt.id)
        done = uow.receipts.get(receipt.id)
        assert done is not None
        assert done.completed_at is not None
        uow.receipts.complete(receipt.id)
        assert uow.receipts.get(receipt.id) == done
        assert uow.receipts.open("video", "a").id != receipt.id
        assert uow.receipts.get(new_id()) is None


def test_a_receipt_keeps_what_the_last_probe_found(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        first, second = (uow.receipts.open("video", name) for name in "ab")
        uow.receipts.probed(first.id, [Look("objects", "pictures/a/", 2), Look("rows", "interactions", 1)])
        found = uow.receipts.get(first.id)
        assert found is not None
        assert (found.probes, found.remaining, found.looks[0]) == (1, 3, Look("objects", "pictures/a/", 2))
        uow.receipts.probed(first.id, [Look("objects", "pictures/a/", 0)])
        found = uow.receipts.get(first.id)
        assert found is not None
        assert (found.probes, found.remaining, len(found.looks)) == (2, 0, 1)
        assert [r.id for r in uow.receipts.page(limit=1)] == [first.id]
        assert [r.id for r in uow.receipts.page(limit=9, after=first.id)] == [second.id]


def test_traces_of_videos_and_users_are_found_wherever_they_are(database: SqlDatabase) -> None:
    video, other = add_indexed(database), add_indexed(database)
    like = Interaction(user_id="u", video_id=video.id, type=InteractionType.LIKE, ts=NOW, event_id="e")
    with database.transaction() as uow:
        uow.interactions.append([like])
        medoid = Interest(video_id=video.id, embedding=normalise(np.ones(16)), importance=1.0, members=(video.id,))
        uow.profiles.put(replace(profile("a"), interests=(medoid,)))
        shown = (Candidate(video_id=v, score=1.0, source="content", interest=None) for v in (video.id, other.id))
        uow.recommendations.add(record(created_at=NOW, interests=(), candidates=tuple(shown)))
        uow.progress.put(video.id, VideoProgress(stage=Stage.INDEXED))
        found = uow.traces.of_videos([video.id, other.id, new_id()])
        assert {table for table, rows in found[video.id].items() if rows} == {
            *("videos", "indexings", "interactions", "video_stats"),
            *("profile_members", "recommendations", "progress_notes"),
        }
        assert {table for table, rows in found[other.id].items() if rows} >= {"videos", "recommendations"}
        assert len(found) == 3
        assert uow.traces.users() == ["u"]
        assert uow.traces.of_user("u") == {
            "interactions": 1,
            "profiles": 1,
            "profile_members": 1,
            "recommendations": 1,
        }
        assert uow.traces.of_user("u", until=NOW - timedelta(days=1)) == {"interactions": 0, "recommendations": 0}
        assert uow.traces.of_user("u", until=NOW)["interactions"] == 1
        assert uow.traces.deleted(limit=9) == []
        for video_id in sorted([video.id, other.id]):
            uow.catalogue.tombstone(video_id)
        assert uow.traces.deleted(limit=9, after=uow.traces.deleted(limit=1)[0]) == [max(video.id, other.id)]
