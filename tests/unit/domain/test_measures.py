"""Measures of rankings beside brute force and known values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vidrec.domain.measures import (
    chance,
    coverage,
    mean_interval,
    measure,
    novelty,
    ranks_of,
    ratio_interval,
    resamples,
    top,
    variety,
    without,
)


def by_definition(order: list[int], targets: set[int], k: int) -> tuple[float, float, float, float]:
    """Hit rate, NDCG, recall at k and the reciprocal rank, one place after the other."""
    gained = sum(1 / math.log2(place + 2) for place, item in enumerate(order[:k]) if item in targets)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(targets))))
    found = len(targets & set(order[:k]))
    first = next(place for place, item in enumerate(order, start=1) if item in targets)
    return float(found > 0), gained / ideal, found / len(targets), 1 / first


@pytest.mark.parametrize("seed", range(20))
def test_a_ranking_with_ties_is_measured_as_by_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 30, int(rng.integers(1, 35))
    scores = rng.integers(0, 6, n).astype(float)
    ties = rng.permutation(n)
    known, targets = np.split(rng.permutation(n)[:12], [6])
    left = without(scores, known)
    order = sorted(set(range(n)) - set(known.tolist()), key=lambda i: (-scores[i], ties[i]))
    found = measure(ranks_of(targets, left, ties), k)
    expected = by_definition(order, set(targets.tolist()), k)
    assert (found.hit_rate, found.ndcg, found.recall, found.reciprocal_rank) == pytest.approx(expected)
    assert top(left, ties, k).tolist() == order[:k]


@pytest.mark.parametrize(("targets", "of", "k"), [(1, 5, 2), (2, 5, 3), (3, 6, 1), (4, 4, 10), (5, 6, 2)])
def test_chance_is_the_mean_over_all_orders(targets: int, of: int, k: int) -> None:
    every = [by_definition(list(order), set(range(targets)), k) for order in itertools.permutations(range(of))]
    found = chance(targets, of, k)
    expected = np.mean(every, axis=0)
    assert (found.hit_rate, found.ndcg, found.recall, found.reciprocal_rank) == pytest.approx(tuple(expected))


def test_lists_are_described() -> None:
    assert coverage([np.array([0, 1]), np.array([1, 2])], 6) == 0.5
    # 3 of 3 users liked the first item, nobody the second: 0 and 2 bits
    assert novelty(np.array([0, 1]), np.array([3.0, 0.0]), users=3) == pytest.approx(1.0)
    features = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
    assert variety(np.array([0, 1]), features) == pytest.approx(0.0)
    assert variety(np.array([0, 1, 2]), features) == pytest.approx(2 / 3)
    assert variety(np.array([0, 2, 3]), features) == pytest.approx(1.0), "nothing is known of item 3"
    assert math.isnan(variety(np.array([0, 3]), features))


def test_variety_is_the_mean_over_pairs() -> None:
    rows = np.random.default_rng(3).normal(size=(6, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [1 - float(rows[i] @ rows[j]) for i, j in itertools.combinations(range(6), 2)]
    assert variety(np.arange(6), rows.astype(np.float32)) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_intervals_hold_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        values = rng.exponential(size=60)
        interval = mean_interval(values, resamples(60, rng))
        assert interval.low <= interval.value <= interval.high
        held += interval.low <= 1.0 <= interval.high
    assert 0.86 <= held / 200 <= 0.99


def test_an_interval_is_what_a_loop_over_the_draws_gives() -> None:
    rng = np.random.default_rng(11)
    values, base = rng.random(9), rng.random(9)
    drawn = resamples(9, rng)
    means = sorted(float(np.mean([values[i] for i in row])) for row in drawn)
    interval = mean_interval(values, drawn)
    assert interval.low in (means[24], means[25])
    assert interval.high in (means[974], means[975])
    ratios = sorted(float(sum(values[i] for i in row) / sum(base[i] for i in row)) for row in drawn)
    paired = ratio_interval(values, base, drawn)
    assert paired is not None
    assert paired.value == pytest.approx(values.sum() / base.sum())
    assert min(abs(paired.low - ratios[i]) for i in (24, 25)) < 1e-12
    assert min(abs(paired.high - ratios[i]) for i in (974, 975)) < 1e-12


def test_a_paired_ratio_of_like_values_is_sure() -> None:
    values = np.random.default_rng(1).random(30)
    drawn = resamples(30, np.random.default_rng(2))
    ratio = ratio_interval(1.1 * values, values, drawn)
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.1, 1.1, 1.1))
    assert ratio_interval(values, np.zeros(30), drawn) is None


def test_what_is_not_known_does_not_count() -> None:
    drawn = resamples(3, np.random.default_rng(2))
    assert mean_interval(np.array([1.0, np.nan, 1.0]), drawn).value == 1.0
    assert math.isnan(mean_interval(np.full(3, np.nan), drawn).low)


def test_few_draws_of_a_rare_base_are_infinite() -> None:
    base = np.array([1.0, *[0.0] * 9])
    ratio = ratio_interval(np.ones(10), base, resamples(10, np.random.default_rng(2)))
    assert ratio is not None
    assert ratio.value == pytest.approx(10)
    assert ratio.high == math.inf
