"""Recommenders beside their definitions, written out."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from vidrec.domain import recommenders
from vidrec.domain.embedding import normalise
from vidrec.domain.interaction_log import Query
from vidrec.domain.recommenders import Content, CoWatch, Ease, Taste, popularity, standardised


def asks(history: list[int]) -> Query:
    items = np.array(history, dtype=np.intp)
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    return Query(0, items, start + 3600.0 * np.arange(len(items)), items, np.zeros(0, dtype=np.intp))


def liked(users: int, items: int, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """A matrix of zeros and ones, and the same as histories."""
    x = (np.random.default_rng(seed).random((users, items)) < 0.3).astype(float)
    x[0] = 0  # a user without likes
    x[:, -1] = 0  # an item that nobody liked
    return x, [np.flatnonzero(row) for row in x]


def ease_by_definition(x: np.ndarray, l2: float) -> np.ndarray:
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0.0)
    return b


@pytest.mark.parametrize(("users", "items"), [(8, 20), (40, 12)])
def test_ease_is_the_closed_form(users: int, items: int) -> None:
    x, histories = liked(users, items)
    learned = Ease(histories, items, l2=3.0)
    for row, history in zip(x, histories, strict=True):
        assert learned.scores(asks(history.tolist())) == pytest.approx(row @ ease_by_definition(x, 3.0))


@pytest.mark.parametrize(("users", "items"), [(6, 20), (40, 12)])
def test_features_are_more_users(users: int, items: int) -> None:
    x, histories = liked(users, items)
    features = normalise(np.random.default_rng(4).random((items, 5)))
    learned = Ease(histories, items, l2=3.0, features=features, side=2.0)
    weights = ease_by_definition(np.concatenate([x, np.sqrt(2.0) * features.T]), 3.0)
    for row, history in zip(x, histories, strict=True):
        assert learned.scores(asks(history.tolist())) == pytest.approx(row @ weights, abs=1e-6)
    assert learned.scores(asks([0, 1]))[-1] != 0, "nobody liked it, and it is known by its features"


def test_ease_minimises_what_it_says() -> None:
    """No small change of a weight (but for the diagonal) makes ||X - XB||^2 + l2 ||B||^2 smaller."""
    x, _ = liked(30, 8)
    b = ease_by_definition(x, 2.0)

    def loss(weights: np.ndarray) -> float:
        return float(((x - x @ weights) ** 2).sum() + 2.0 * (weights**2).sum())

    for i in range(8):
        for j in range(8):
            for step in (-1e-3, 1e-3):
                other = b.copy()
                other[i, j] += step * (i != j)
                assert loss(other) >= loss(b) - 1e-12


def test_ease_looks_at_the_most_liked_items_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommenders, "EASE_ITEMS", 3)
    x, histories = liked(30, 9)
    kept = np.sort(np.argsort(-x.sum(axis=0), kind="stable")[:3])
    scores = Ease(histories, 9, l2=3.0).scores(asks([int(kept[0])]))
    assert set(np.flatnonzero(scores)) <= set(kept.tolist())
    with pytest.raises(ValueError, match="more than 0"):
        Ease(histories, 9, l2=0.0)


@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
def test_co_watch_is_the_shrunk_cosine(shrinkage: float) -> None:
    x, histories = liked(25, 10)
    scores = CoWatch(histories, 10, neighbours=3, shrinkage=shrinkage).scores(asks([1, 4]))
    expected = np.zeros(10)
    for item in (1, 4):
        alike = {}
        for other in range(10):
            both = sum(1 for row in x if row[item] and row[other])
            if other != item and both:
                alike[other] = both / (np.sqrt(x[:, item].sum() * x[:, other].sum()) + shrinkage)
        for other in sorted(alike, key=lambda o: -alike[o])[:3]:
            expected[other] += alike[other]
    assert scores == pytest.approx(expected)


def test_nobody_of_like_taste() -> None:
    histories = [np.array([0, 1]), np.array([2])]
    assert CoWatch(histories, 4).scores(asks([3])).tolist() == [0, 0, 0, 0]
    assert CoWatch(histories, 4).scores(asks([])).tolist() == [0, 0, 0, 0]
    assert popularity([*histories, np.array([1])], 4).tolist() == [1, 2, 1, 0]


FEATURES = normalise(
    np.array([[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0.1], [0.1, 1, 0], [0, 0.1, 1], [0, 0, 0]], dtype=np.float32)
)


@pytest.mark.parametrize("taste", list(Taste))
def test_content_finds_what_is_alike(taste: Taste) -> None:
    scores = Content(FEATURES, taste=taste).scores(asks([5, 0]))
    assert scores.shape == (6,)
    assert scores[1] > max(scores[2:5])
    assert np.ptp(Content(FEATURES, taste=taste).scores(asks([]))) == 0
    assert np.ptp(Content(FEATURES, taste=taste).scores(asks([5]))) == 0, "nothing is known of item 5"


def test_content_by_definition() -> None:
    history = [0, 2, 3]
    cosines = FEATURES @ FEATURES[history].T
    assert Content(FEATURES, taste=Taste.NEAREST).scores(asks(history)) == pytest.approx(cosines.max(axis=1))
    mean = FEATURES[history].mean(axis=0)
    by_mean = Content(FEATURES, taste=Taste.MEAN).scores(asks(history))
    assert by_mean == pytest.approx(FEATURES @ mean / np.linalg.norm(mean))
    interests = Content(FEATURES, taste=Taste.INTERESTS).scores(asks(history))
    assert (interests <= cosines.max(axis=1) + 1e-6).all(), "interests are some of the watched ones"


def test_the_discriminant_by_definition() -> None:
    history, n = [0, 2], len(FEATURES)
    mean = FEATURES.mean(axis=0)
    covariance = np.cov(FEATURES.T, bias=True)
    ridge = recommenders.RIDGE * np.trace(covariance) / 3 * np.eye(3)
    w = np.linalg.inv(covariance + ridge) @ (FEATURES[history].mean(axis=0) - mean)
    expected = [float(w @ (FEATURES[i] - mean)) for i in range(n)]
    assert Content(FEATURES, taste=Taste.DISCRIMINANT).scores(asks(history)) == pytest.approx(expected, abs=1e-4)


def test_standardised() -> None:
    scores = standardised(np.array([1.0, 2.0, 3.0]))
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1))
    assert standardised(np.full(3, 7.0)).tolist() == [0, 0, 0]
