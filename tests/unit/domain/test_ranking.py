from __future__ import annotations

import numpy as np

from vidrec.domain.embedding import normalise
from vidrec.domain.models import Candidate, Embedding
from vidrec.domain.ranking import RERANK_POOL, cold_start, collapse, diversify, merge_hits


def ids(candidates: list[Candidate]) -> list[str]:
    return [c.video_id for c in candidates]


def test_a_video_found_twice_goes_to_the_nearest_interest() -> None:
    merged = merge_hits([[("x", 0.5), ("y", 0.4)], [("x", 0.9)]], [0.6, 0.4], drop=set())
    assert [(c.video_id, c.score, c.interest) for c in merged] == [("x", 0.9, 1), ("y", 0.4, 0)]


def test_seen_videos_are_dropped() -> None:
    assert ids(merge_hits([[("x", 0.5), ("y", 0.4)]], [1.0], drop={"x"})) == ["y"]


def test_equal_scores_go_to_the_more_important_interest() -> None:
    merged = merge_hits([[("a", 0.5)], [("b", 0.5)]], [0.3, 0.7], drop=set())
    assert ids(merged) == ["b", "a"]


def candidates(vectors: dict[str, Embedding], query: Embedding) -> list[Candidate]:
    found = [Candidate(video_id=v, score=float(e @ query), source="similar", interest=0) for v, e in vectors.items()]
    return sorted(found, key=lambda c: -c.score)


def test_variety_puts_an_unlike_one_before_the_next_copy() -> None:
    query = normalise([1.0, 0.0, 0.0])
    vectors = {
        "a1": normalise([1.0, 0.30, 0.0]),
        "a2": normalise([1.0, 0.31, 0.0]),
        "a3": normalise([1.0, 0.32, 0.0]),
        "b": normalise([1.0, 0.0, 0.45]),
        "far": normalise([0.0, 1.0, 1.0]),
    }
    plain = candidates(vectors, query)
    assert ids(plain)[:3] == ["a1", "a2", "a3"]
    assert ids(diversify(plain, [1.0], vectors, diversity=0.5))[:2] == ["a1", "b"]
    assert diversify(plain, [1.0], vectors, diversity=0.0) == plain


def test_diversifying_keeps_every_candidate_once() -> None:
    random = np.random.default_rng(3)
    vectors = {f"{i:03d}": e for i, e in enumerate(normalise(random.normal(size=(RERANK_POOL + 40, 8))))}
    plain = candidates(vectors, normalise(np.ones(8)))
    varied = diversify(plain, [1.0], vectors)
    assert sorted(ids(varied)) == sorted(vectors)
    assert varied[RERANK_POOL:] == plain[RERANK_POOL:]
    assert varied[0] == plain[0]


def test_of_several_copies_the_first_is_shown() -> None:
    found = [Candidate(video_id=v, score=0.0, source="popular") for v in ("x1", "y", "x2", "z")]
    assert ids(collapse(found, lambda v: v[0], taken={"z"})) == ["x1", "y"]


def test_cold_start_takes_turns_and_shows_each_once() -> None:
    found = cold_start(["p1", "both", "p2"], ["both", "f1", "f2", "f3"], drop={"p2"})
    assert [(c.video_id, c.source) for c in found] == [
        ("p1", "popular"),
        ("both", "fresh"),
        ("f1", "fresh"),
        ("f2", "fresh"),
        ("f3", "fresh"),
    ]
