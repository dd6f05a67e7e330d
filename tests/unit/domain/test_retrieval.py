"""Retrieval measures beside brute force and known values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vidrec.domain.retrieval import chance, colour_histogram, near_duplicates, retrieval


def average_precision(right: list[bool]) -> float:
    """By its definition, one rank after the other."""
    found, total = 0, 0.0
    for rank, hit in enumerate(right, start=1):
        if hit:
            found += 1
            total += found / rank
    return total / found


def brute_force(embeddings: np.ndarray, labels: list[str]) -> tuple[float, float]:
    averages, firsts = [], []
    for i, mine in enumerate(labels):
        cosine = [
            float(embeddings[i] @ row / (np.linalg.norm(embeddings[i]) * np.linalg.norm(row))) for row in embeddings
        ]
        others = sorted((j for j in range(len(labels)) if j != i), key=lambda j: -cosine[j])
        right = [labels[j] == mine for j in others]
        if any(right):
            averages.append(average_precision(right))
            firsts.append(right[0])
    return float(np.mean(averages)), float(np.mean(firsts))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_brute_force_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(24, 5))
    labels = [str(label) for label in rng.integers(0, 5, 23)] + ["alone"]
    found = retrieval(embeddings, labels)
    expected = brute_force(embeddings, labels)
    assert (found.mean_average_precision, found.recall_at_1) == pytest.approx(expected)
    counted = sum(labels.count(label) > 1 for label in labels)
    assert found.queries == counted


def test_known_values() -> None:
    angles = np.radians([0, 10, 25, 90])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = retrieval(points, ["a", "b", "a", "b"])
    # 0: b a b -> 1/2; 10: a a b -> 1/3; 25: b a b -> 1/2; 90: a b a -> 1/2
    assert found.mean_average_precision == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4)
    assert found.recall_at_1 == 0
    assert retrieval(points, ["a", "a", "b", "b"]).recall_at_1 == pytest.approx(3 / 4)


def test_length_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    embeddings, labels = rng.normal(size=(12, 4)), list("aabbccaabbcc")
    scaled = embeddings * rng.uniform(0.1, 9, (12, 1))
    assert retrieval(embeddings, labels) == retrieval(scaled, labels)


@pytest.mark.parametrize("labels", ["aabb", "aaabb", "aabbcd", "aaaaab"])
def test_chance_is_the_mean_over_all_orders(labels: str) -> None:
    averages, firsts = [], []
    for i, mine in enumerate(labels):
        others = [label == mine for j, label in enumerate(labels) if j != i]
        if any(others):
            orders = list(itertools.permutations(others))
            averages.append(np.mean([average_precision(list(order)) for order in orders]))
            firsts.append(np.mean([order[0] for order in orders]))
    found = chance(list(labels))
    assert found.mean_average_precision == pytest.approx(float(np.mean(averages)))
    assert found.recall_at_1 == pytest.approx(float(np.mean(firsts)))


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(ValueError, match="no label has two"):
        retrieval(np.eye(3), ["a", "b", "c"])
    with pytest.raises(ValueError, match="no label has two"):
        chance(["a", "b"])
    with pytest.raises(ValueError, match="3 embeddings for 2 labels"):
        retrieval(np.eye(3), ["a", "a"])


def test_a_colour_histogram_counts_shares() -> None:
    frames = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    frames[1, :2] = (255, 0, 64)
    found = colour_histogram(frames)
    assert found.shape == (2, 64)
    np.testing.assert_allclose((found**2).sum(axis=1), 1, atol=1e-6)
    assert found[1, 3 * 16 + 1] == pytest.approx(0.5**0.5)
    assert float(found[0] @ found[1]) == pytest.approx(0.5**0.5)


def test_items_without_a_label_are_only_in_the_way() -> None:
    angles = np.radians([0, 10, 25, 90])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = retrieval(points, ["a", None, "a", None])
    # 0: - a - -> 1/2; 25: - a - -> 1/2
    assert (found.mean_average_precision, found.recall_at_1, found.queries) == (0.5, 0.0, 2)


def test_near_duplicates_do_not_count_as_found() -> None:
    angles = np.radians([0, 1, 30, 60])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels, groups = ["a", "a", "b", "a"], ["g", "g", None, None]
    found = retrieval(points, labels, groups=groups)
    # 0: (not 1) b a -> 1/2; 1: b a -> 1/2; 60: b a a -> (1/2 + 2/3) / 2
    assert found.mean_average_precision == pytest.approx((1 / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3)
    expected = chance(labels, groups=groups)
    assert expected.queries == 3
    assert expected.recall_at_1 == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)


def test_near_duplicates_are_found_above_a_threshold() -> None:
    angles = np.radians([0, 2, 30, 33, 80, 81])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = near_duplicates(points, ["g", "g", "h", "h", None, None])
    # The pair at 80 and 81 is none, so only cosines above theirs may collapse.
    assert found.threshold > np.cos(np.radians(1.001))
    assert (found.recall_at_1, found.false_collapses, found.queries) == (0.0, 0.0, 4)
    lenient = near_duplicates(points, ["g", "g", "h", "h", None, None], most_false=0.1)
    assert lenient.recall_at_1 == 1.0
    assert lenient.false_collapses == pytest.approx(1 / 13)
    with pytest.raises(ValueError, match="no group has two"):
        near_duplicates(points, [None] * 6)
