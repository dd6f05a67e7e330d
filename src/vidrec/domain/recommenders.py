"""Recommenders to be compared, learned from who liked what. Each gives a user's score of every item; only their order
means something. All are exact, deterministic, and never hold a matrix of items by items unless it is the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from vidrec.domain.interaction_log import Indices, Query
from vidrec.domain.models import Embeddings, WatchedVideo
from vidrec.domain.profile import build_profile

Scores = npt.NDArray[np.float64]
"""One per item of the catalogue; higher is better."""
EASE_ITEMS = 10_000
"""EASE looks at so many of the most liked items at the most: its matrix then takes 800 MB."""
BLOCK = 512
"""Users of whom a dense block is made at once."""
RIDGE = 0.1
"""Of the discriminant, in mean variances of the features."""
PROFILE_ITEMS = 200
"""Content looks at so many of the last liked items, as the recommendations do."""


def popularity(histories: Sequence[Indices], n_items: int) -> Scores:
    """How many users liked each item."""
    counts = np.zeros(n_items)
    for history in histories:
        counts[history] += 1
    return counts


class CoWatch:
    """Item-to-item: items liked by those who liked what the user liked (Sarwar et al. 2001; Deshpande & Karypis 2004).

    Likeness of i and j is users of both / (sqrt(users of i * users of j) + `shrinkage`); an item speaks for its
    `neighbours` most alike ones alone; scores add up over the user's history.
    """

    def __init__(
        self, histories: Sequence[Indices], n_items: int, *, neighbours: int = 100, shrinkage: float = 10.0
    ) -> None:
        self._histories = histories
        self._counts = popularity(histories, n_items)
        self._neighbours, self._shrinkage = neighbours, shrinkage
        users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
        items = np.concatenate([*histories, np.zeros(0, dtype=np.intp)])
        order = np.argsort(items, kind="stable")
        self._users_of = np.split(users[order], np.searchsorted(items[order], np.arange(1, n_items)))
        self._near: dict[int, tuple[Indices, Scores]] = {}

    def scores(self, query: Query) -> Scores:
        """0 for items that nobody of like taste liked."""
        total = np.zeros(len(self._counts))
        for item in query.history:
            near, values = self._neighbourhood(int(item))
            total[near] += values
        return total

    def _neighbourhood(self, item: int) -> tuple[Indices, Scores]:
        if item not in self._near:
            lists = [self._histories[user] for user in self._users_of[item]]
            both = np.bincount(np.concatenate([*lists, np.zeros(0, dtype=np.intp)]), minlength=len(self._counts))
            both[item] = 0
            found = np.flatnonzero(both)
            likeness = both[found] / (np.sqrt(self._counts[item] * self._counts[found]) + self._shrinkage)
            best = np.argsort(-likeness, kind="stable")[: self._neighbours]
            self._near[item] = (found[best], likeness[best])
        return self._near[item]


class Ease:
    """EASE, the linear autoencoder with a closed form (Steck 2019, arXiv:1905.03375): with P = (X'X + `l2` I)^-1 the
    weight of j given i is -P_ij / P_jj, and an item says nothing of itself.

    With fewer users than items the inverse is taken of users by users (Woodbury): P = (I - X'(XX' + l2 I)^-1 X) / l2,
    and only products with it are ever formed.

    With `features` (a row per item) each of their columns is one more user who likes the items by so much, `side` times
    as important as a user (CEASE, Jeunen, Van Balen & Goethals 2020): items that nobody liked are found by what they
    have in common with those that are liked.
    """

    def __init__(
        self,
        histories: Sequence[Indices],
        n_items: int,
        *,
        l2: float = 200.0,
        features: Embeddings | None = None,
        side: float = 1.0,
    ) -> None:
        if l2 <= 0:
            raise ValueError(f"l2 is {l2}, expected more than 0")
        counts = popularity(histories, n_items)
        told = counts > 0 if features is None else (counts > 0) | features.any(axis=1)
        best = np.argsort(-counts, kind="stable")
        self._items = np.sort(best[told[best]][:EASE_ITEMS])
        self._place = np.full(n_items, -1, dtype=np.intp)
        self._place[self._items] = np.arange(len(self._items))
        self._histories = [history for history in histories if len(history)]
        self._l2 = l2
        self._more = np.zeros((0, len(self._items)))
        if features is not None:
            self._more = np.sqrt(side) * features[self._items].T.astype(np.float64)
        self._inverse: npt.NDArray[np.float64] | None = None
        if len(self._histories) + len(self._more) < len(self._items):
            self._learn_by_users()
        else:
            self._learn_by_items()

    def scores(self, query: Query) -> Scores:
        """0 for items of which nothing is known."""
        x = self._dense([query.history])[0]
        if self._inverse is None:
            product = (x - ((x @ self._x.T) @ self._kernel) @ self._x) / self._l2
        else:
            product = x @ self._inverse
        result = np.zeros(len(self._place))
        result[self._items] = x - product / self._diagonal
        return result

    def _learn_by_users(self) -> None:
        self._x = np.concatenate([self._dense(self._histories), self._more])
        self._kernel = np.linalg.inv(self._x @ self._x.T + self._l2 * np.eye(len(self._x)))
        self._diagonal = (1.0 - np.einsum("ui,ui->i", self._x, self._kernel @ self._x)) / self._l2

    def _learn_by_items(self) -> None:
        gram = self._l2 * np.eye(len(self._items)) + self._more.T @ self._more
        for start in range(0, len(self._histories), BLOCK):
            block = self._dense(self._histories[start : start + BLOCK])
            gram += block.T @ block
        inverse = np.asarray(np.linalg.inv(gram), dtype=np.float64)
        self._inverse, self._diagonal = inverse, np.diag(inverse).copy()

    def _dense(self, histories: Sequence[Indices]) -> npt.NDArray[np.float64]:
        rows = np.zeros((len(histories), len(self._items)))
        for row, history in zip(rows, histories, strict=True):
            places = self._place[history]
            row[places[places >= 0]] = 1.0
        return rows


class Taste(StrEnum):
    """What stands for a user when items are compared by what they are."""

    MEAN = "mean"
    """The mean of what was liked: Rocchio's method."""
    NEAREST = "nearest"
    """Each liked item for itself: the most alike one counts."""
    DISCRIMINANT = "discriminant"
    """What sets the liked items apart from the whole catalogue: Fisher's linear discriminant, ridge-regularised."""
    INTERESTS = "interests"
    """A few interests, as the recommendations do it (domain/profile.py): the nearest one counts."""


class Content:
    """Items like what the user liked, by their features alone: those that nobody met are found as well."""

    def __init__(self, features: Embeddings, *, taste: Taste = Taste.MEAN) -> None:
        """`features`: a row of length 1 per item; zeros where nothing is known of it."""
        self._features = features
        self._taste = taste
        if taste is Taste.DISCRIMINANT:
            centred = features - features.mean(axis=0)
            covariance = centred.T @ centred / len(features)
            ridge = RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance), dtype=np.float32)
            self._directions = np.linalg.solve(covariance + ridge, centred.T)

    def scores(self, query: Query) -> Scores:
        """How near to what the user likes; 0 for all where nothing is known of that."""
        history = query.history[-PROFILE_ITEMS:]
        known = np.flatnonzero(self._features[history].any(axis=1))
        if not len(known):
            return np.zeros(len(self._features))
        rows = self._features[history[known]]
        if self._taste is Taste.MEAN:
            mean = rows.mean(axis=0)
            return np.asarray(self._features @ mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float64)
        if self._taste is Taste.DISCRIMINANT:
            return np.asarray((rows.mean(axis=0) - self._features.mean(axis=0)) @ self._directions, dtype=np.float64)
        if self._taste is Taste.INTERESTS:
            rows = self._interests(rows, query.history_times[-PROFILE_ITEMS:][known])
        return np.asarray((self._features @ rows.T).max(axis=1), dtype=np.float64)

    @staticmethod
    def _interests(rows: Embeddings, times: npt.NDArray[np.float64]) -> Embeddings:
        moments = [datetime.fromtimestamp(float(time), UTC) for time in times]
        newest_first = range(len(rows) - 1, -1, -1)
        history = [WatchedVideo(video_id=str(i), weight=1.0, last_at=moments[i]) for i in newest_first]
        embeddings = {str(i): rows[i] for i in newest_first}
        profile = build_profile("", "", history, embeddings, cutoff=0, now=max(moments))
        return np.stack([interest.embedding for interest in profile.interests])


def standardised(scores: Scores) -> Scores:
    """Mean 0, deviation 1 over the catalogue, so that scores of different kinds may be added; zeros where all are the
    same."""
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 1e-12 else np.zeros_like(scores)
