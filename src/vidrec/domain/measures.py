"""How good a ranking of the whole catalogue is, and how sure that is.

No negatives are sampled: measures on samples order recommenders wrongly (Krichene & Rendle 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrec.domain.interaction_log import Indices
from vidrec.domain.models import Embeddings
from vidrec.domain.recommenders import Scores

RESAMPLES = 1000
LEVEL = 0.95


def without(scores: Scores, known: Indices) -> Scores:
    """A copy in which the known items come last."""
    left = scores.copy()
    left[known] = -np.inf
    return left


def top(scores: Scores, ties: Indices, k: int) -> Indices:
    """The k best items, best first; items of score -inf are left out. `ties`: a rank of each item among those of equal
    score, so that no measure depends on the order of a file."""
    k = min(k, len(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    found = np.flatnonzero((scores >= least) & np.isfinite(scores))
    return found[np.lexsort((ties[found], -scores[found]))][:k]


def ranks_of(targets: Indices, scores: Scores, ties: Indices) -> Indices:
    """Rank from 1 of each target in the order of all items, in the order of the targets."""
    mine, tie = scores[targets][:, None], ties[targets][:, None]
    ahead = (scores > mine) | ((scores == mine) & (ties < tie))
    return np.asarray(ahead.sum(axis=1) + 1, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Measures of one ranking, each 0 to 1, higher is better."""

    hit_rate: float
    """HR@k: 1 where a target is among the first k."""
    ndcg: float
    """NDCG@k with one gain for every target (Järvelin & Kekäläinen 2002): the ideal has min(k, targets) hits."""
    recall: float
    """Share of the targets among the first k."""
    reciprocal_rank: float
    """1 / rank of the first target, however deep; its mean is MRR."""


def measure(ranks: Indices, k: int) -> Ranked:
    """Of the ranks (from 1) of at least one target."""
    hits = ranks[ranks <= k]
    gained = float((1.0 / np.log2(hits + 1.0)).sum())
    return Ranked(
        hit_rate=float(len(hits) > 0),
        ndcg=gained / _ideal(len(ranks), k),
        recall=len(hits) / len(ranks),
        reciprocal_rank=1.0 / float(ranks.min()),
    )


def chance(targets: int, of: int, k: int) -> Ranked:
    """What a random order of `of` items gives on average: the expectation over all orders, not one draw."""
    k = min(k, of)
    ranks = np.arange(1, of + 1)
    # none_before[r]: probability that the first r places hold no target
    left = np.maximum(of - targets - ranks + 1, 0) / (of - ranks + 1)
    none_before = np.concatenate([[1.0], np.cumprod(left)])
    first_at = none_before[:-1] - none_before[1:]
    discounts = float((1.0 / np.log2(np.arange(1, k + 1) + 1.0)).sum())
    return Ranked(
        hit_rate=float(1.0 - none_before[k]),
        ndcg=targets / of * discounts / _ideal(targets, k),
        recall=k / of,
        reciprocal_rank=float((first_at / ranks).sum()),
    )


def _ideal(targets: int, k: int) -> float:
    return float((1.0 / np.log2(np.arange(1, min(targets, k) + 1) + 1.0)).sum())


def coverage(lists: Iterable[Indices], n_items: int) -> float:
    """Share of the catalogue that is in any list."""
    shown = np.zeros(n_items, dtype=bool)
    for items in lists:
        shown[items] = True
    return float(shown.mean())


def novelty(items: Indices, popular: Scores, users: int) -> float:
    """Mean self-information in bits, -log2 of the share of users who liked an item, one user added to both so that it
    is finite (Zhou et al. 2010; Vargas & Castells 2011)."""
    return float(-np.log2((popular[items] + 1.0) / (users + 1.0)).mean())


def variety(items: Indices, features: Embeddings) -> float:
    """Intra-list variety: mean of 1 - cosine over all pairs of a list (Ziegler et al. 2005; Castells et al. 2015). NaN
    for fewer than two items of which something is known."""
    rows = features[items].astype(np.float64)
    rows = rows[rows.any(axis=1)]
    if len(rows) < 2:
        return float("nan")
    cosines = rows @ rows.T
    return float(1.0 - cosines[np.triu_indices(len(rows), 1)].mean())


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its bootstrap interval of 95 %."""

    value: float
    low: float
    high: float


def resamples(n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """(RESAMPLES, n): who is drawn each time, with replacement. One matrix for all methods keeps them paired."""
    return np.asarray(rng.integers(0, n, size=(RESAMPLES, n)), dtype=np.intp)


def mean_interval(values: npt.NDArray[np.float64], drawn: npt.NDArray[np.intp]) -> Interval:
    """The mean over users, with a percentile interval (Efron 1979). Users of whom nothing is known (NaN) do not
    count; NaN where none is known."""
    if np.isnan(values).all():
        return Interval(float("nan"), float("nan"), float("nan"))
    sample = values[drawn]
    known = ~np.isnan(sample)
    means = np.where(known, sample, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return Interval(float(np.nanmean(values)), *_percentiles(means[known.any(axis=1)]))


def ratio_interval(
    values: npt.NDArray[np.float64], base: npt.NDArray[np.float64], drawn: npt.NDArray[np.intp]
) -> Interval | None:
    """Mean of the values / mean of the base over the same users, paired: both are drawn together. Draws whose base is 0
    count as infinite where the values are not, and are left out where both are 0. None where the base is 0."""
    if base.mean() <= 0:
        return None
    above, below = values[drawn].mean(axis=1), base[drawn].mean(axis=1)
    told = (above > 0) | (below > 0)
    with np.errstate(divide="ignore"):
        ratios = above[told] / below[told]
    return Interval(float(values.mean() / base.mean()), *_percentiles(ratios))


def _percentiles(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    # No interpolation: between a number and infinity there is none.
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail], method="nearest")
    return float(low), float(high)
