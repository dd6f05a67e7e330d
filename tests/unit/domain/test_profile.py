from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from vidrec.domain.embedding import normalise
from vidrec.domain.models import Embedding, Interaction, InteractionType, WatchedVideo
from vidrec.domain.profile import MAX_INTERESTS, build_profile, fold_history, interaction_weight

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: str, video: str = "v", minutes: float = 0, **more: float) -> Interaction:
    return Interaction(
        user_id="u",
        video_id=video,
        type=InteractionType(kind),
        ts=NOW + timedelta(minutes=minutes),
        event_id=f"{kind}-{video}-{minutes}",
        **more,  # type: ignore[arg-type]
    )


def family(direction: int, n: int, seed: int = 0) -> list[Embedding]:
    random = np.random.default_rng(seed + direction)
    return list(normalise(np.eye(16)[direction] + 0.1 * random.normal(size=(n, 16))))


def history(embeddings: dict[str, Embedding], **weights: float) -> list[WatchedVideo]:
    return [
        WatchedVideo(video_id=v, weight=weights.get(v, 1.0), last_at=NOW - timedelta(hours=i))
        for i, v in enumerate(embeddings)
    ]


def test_weights_say_what_the_field_means_by_them() -> None:
    assert interaction_weight(event("watch", fraction=0.9)) > interaction_weight(event("watch", fraction=0.1))
    assert interaction_weight(event("like")) > interaction_weight(event("watch", fraction=1.0))
    assert interaction_weight(event("skip")) == 0
    assert interaction_weight(event("dislike")) < 0 > interaction_weight(event("hide"))


def test_folding_gives_one_row_per_video_most_recent_first() -> None:
    rows = fold_history([event("view", "a", 1), event("watch", "b", 2, fraction=0.5), event("like", "a", 3)])
    assert [(r.video_id, r.weight) for r in rows] == [("a", pytest.approx(2.3)), ("b", 0.5)]


def test_an_impression_is_not_watching() -> None:
    assert fold_history([event("impression")]) == []


def test_replaying_does_not_outweigh_everything() -> None:
    (row,) = fold_history([event("watch", minutes=i, fraction=1.0) for i in range(50)])
    assert row.weight == 3.0


def test_a_dislike_is_the_last_word_until_a_later_like() -> None:
    disliked = [event("like", minutes=0), event("dislike", minutes=1), event("watch", minutes=2, fraction=1.0)]
    assert fold_history(disliked)[0].weight < 0
    assert fold_history([*disliked, event("like", minutes=3)])[0].weight > 0


def test_the_last_known_position_stays() -> None:
    (row,) = fold_history([event("watch", minutes=0, position_s=12.0), event("like", minutes=1)])
    assert row.position_s == 12.0


def test_two_tastes_become_two_interests_with_watched_videos_as_medoids() -> None:
    embeddings = {f"a{i}": e for i, e in enumerate(family(0, 6))} | {f"b{i}": e for i, e in enumerate(family(1, 3))}
    profile = build_profile("u", "m1", history(embeddings), embeddings, cutoff=9, now=NOW)
    assert [i.video_id[0] for i in profile.interests] == ["a", "b"]
    assert sum(i.importance for i in profile.interests) == pytest.approx(1.0)
    assert {v for i in profile.interests for v in i.members} == set(embeddings)
    for interest in profile.interests:
        assert interest.video_id in interest.members
        np.testing.assert_array_equal(interest.embedding, embeddings[interest.video_id])


def test_recent_watching_counts_more() -> None:
    embeddings = {"old": family(0, 1)[0], "new": family(1, 1)[0]}
    rows = [
        WatchedVideo(video_id="new", weight=1.0, last_at=NOW),
        WatchedVideo(video_id="old", weight=1.0, last_at=NOW - timedelta(days=90)),
    ]
    profile = build_profile("u", "m1", rows, embeddings, cutoff=2, now=NOW)
    assert profile.interests[0].video_id == "new"
    assert profile.interests[0].importance > 0.8


def test_disliked_and_unindexed_videos_say_nothing() -> None:
    embeddings = {"good": family(0, 1)[0], "bad": family(1, 1)[0]}
    rows = [*history(embeddings, bad=-2.0), WatchedVideo(video_id="gone", weight=1.0, last_at=NOW)]
    profile = build_profile("u", "m1", rows, embeddings, cutoff=3, now=NOW)
    assert [i.video_id for i in profile.interests] == ["good"]


def test_nobody_has_more_than_a_few_interests() -> None:
    embeddings = {f"{d}": family(d, 1)[0] for d in range(12)}
    profile = build_profile("u", "m1", history(embeddings), embeddings, cutoff=12, now=NOW)
    assert len(profile.interests) == MAX_INTERESTS


def test_an_empty_history_is_a_profile_without_interests() -> None:
    profile = build_profile("u", "m1", [], {}, cutoff=4, now=NOW)
    assert profile.interests == ()
    assert profile.cutoff == 4


def test_copies_of_one_video_are_one_interest() -> None:
    same = family(0, 1)[0]
    embeddings = {f"v{i}": same for i in range(5)}
    profile = build_profile("u", "m1", history(embeddings), embeddings, cutoff=5, now=NOW)
    assert len(profile.interests) == 1


def test_one_taste_is_not_cut_into_single_videos() -> None:
    """All merges of such a history cost about the same; no watched video may be left out for that."""
    embeddings = {f"v{i}": e for i, e in enumerate(family(3, 30))}
    profile = build_profile("u", "m1", history(embeddings), embeddings, cutoff=30, now=NOW)
    assert len(profile.interests) <= MAX_INTERESTS
    assert {v for i in profile.interests for v in i.members} == set(embeddings)


def test_what_falls_into_a_removed_interest_says_nothing() -> None:
    embeddings = {f"{name}{i}": e for d, name in ((0, "a"), (5, "b")) for i, e in enumerate(family(d, 6))}
    rows = history(embeddings)
    removed = [frozenset({"a0", "a1", "a2"})]  # the rest was watched later
    profile = build_profile("u", "m1", rows, embeddings, removed=removed, cutoff=1, now=NOW)
    assert [{m[0] for m in i.members} for i in profile.interests] == [{"b"}]
    assert profile.interests[0].importance == pytest.approx(1.0)


def test_a_removed_interest_stays_away_when_the_history_does_not_reach_back_to_it() -> None:
    embeddings = {f"{name}{i}": e for d, name in ((0, "a"), (5, "b")) for i, e in enumerate(family(d, 6))}
    rows = history({v: e for v, e in embeddings.items() if v not in ("a0", "a1")})
    removed = [frozenset({"a0", "a1"}), frozenset({"never-indexed"})]
    profile = build_profile("u", "m1", rows, embeddings, removed=removed, cutoff=1, now=NOW)
    assert [{m[0] for m in i.members} for i in profile.interests] == [{"b"}]


def test_removing_half_of_what_is_no_cluster_takes_no_cluster_away() -> None:
    embeddings = {f"{name}{i}": e for d, name in ((0, "a"), (5, "b")) for i, e in enumerate(family(d, 6))}
    removed = [frozenset({"a0", "b0"})]
    profile = build_profile("u", "m1", history(embeddings), embeddings, removed=removed, cutoff=1, now=NOW)
    members = {m for i in profile.interests for m in i.members}
    assert members == embeddings.keys() - {"a0", "b0"}


def test_nothing_is_left_where_all_was_removed() -> None:
    embeddings = {f"a{i}": e for i, e in enumerate(family(0, 3))}
    removed = [frozenset(embeddings)]
    profile = build_profile("u", "m1", history(embeddings), embeddings, removed=removed, cutoff=1, now=NOW)
    assert profile.interests == ()
