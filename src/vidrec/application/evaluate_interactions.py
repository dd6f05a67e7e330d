"""Which way of recommending finds what users liked next? Baselines, content and a blend, all in one run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vidrec.domain import measures
from vidrec.domain.errors import InvalidInput
from vidrec.domain.interaction_log import Fold, Indices, InteractionLog, Query, SplitBy, folds
from vidrec.domain.measures import Interval, Ranked
from vidrec.domain.models import Embeddings
from vidrec.domain.recommenders import Content, CoWatch, Ease, Scores, Taste, popularity, standardised

RANDOM, POPULAR, CO_WATCH, EASE, CONTENT, HYBRID = "random", "popular", "co-watch", "EASE", "content", "hybrid"
EASE_FEATURES = "EASE with features"
BLENDED = (POPULAR, CO_WATCH, EASE_FEATURES, CONTENT)
"""What a hybrid is made of, in the order of its weights."""
ALL, COLD_USERS, WARM_USERS, HEAVY_USERS = "all", "cold users", "warm users", "heavy users"
COLD_ITEMS, COLD_AMONG_COLD = "cold items", "cold items among cold"
"""Targets that nobody met before, of users of whom something is known: found among all items, and among those that
nobody met."""
COLD_USER = 5
"""Users with fewer liked items before the window are cold, the others warm."""
HEAVY_SHARE = 0.2
"""This share of the users, those with the most liked items, are heavy."""
L2 = (10.0, 50.0, 200.0, 800.0)
SIDE = (5.0, 20.0)
SHRINKAGE = (0.0, 10.0, 50.0)
STEPS = 10
"""Weights of the hybrid are multiples of 1 / STEPS that sum to 1."""
TUNED_ON = 300
"""Most users that the weights are tuned on, drawn by the seed."""

FeaturesAt = Callable[[float | None], Embeddings | None]
"""What is known of the items at a moment (None: without all that has a time): a row of length 1 or 0 per item, in the
order of the log's items. None where there are no features."""


class _Scorer(Protocol):
    def scores(self, query: Query) -> Scores: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What can be chosen."""

    k: int = 10
    split: SplitBy = SplitBy.TIME
    validation: float = 0.1
    test: float = 0.1
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was chosen on the validation window."""

    weights: Mapping[str, float]
    """Of the hybrid, by what it is made of; they sum to 1."""
    l2: float
    """Of EASE."""
    side: float
    """How much the features count in the hybrid's EASE; 0: not at all."""
    shrinkage: float
    taste: str | None
    """How content sees a user; None without features."""
    users: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """NDCG@k of the hybrid over that of the single recommender that is best on this very slice."""

    best: str
    ratio: Interval | None
    """None where even the best one found nothing."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the users or targets."""

    users: int
    targets: int
    methods: Mapping[str, Mapping[str, Interval]]
    """By recommender, then by measure: `hr@k`, `ndcg@k`, `recall@k`, `mrr`; over all users also `novelty@k` and
    `variety@k`."""
    hybrid: Ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a run found."""

    rows: int
    liked: int
    users: int
    items: int
    cold: int
    """Items that nobody met before the test window."""
    options: Options
    starts: tuple[float | None, float | None]
    """Where the validation and the test window begin, seconds since 1970; None where users have their own."""
    tuned: Tuned
    coverage: Mapping[str, float]
    """By recommender: share of the catalogue that is among anybody's first k."""
    slices: Mapping[str, Slice]
    left_out: tuple[str, ...] = field(default=())
    """Sentences about what could not be compared."""


def compare(
    log: InteractionLog,
    features_at: FeaturesAt,
    options: Options,
    tell: Callable[[str], None] = lambda step: None,
) -> Comparison:
    """Tunes on the validation window, learns again from all before the test window, and measures there. Everything is
    drawn from the seed: the same input gives the same answer. InvalidInput where there is too little to compare."""
    _check(log, options)
    tuning, testing = folds(log, options.split, validation=options.validation, test=options.test)
    for fold, window in ((tuning, "validation"), (testing, "test")):
        if not fold.queries or not any(len(history) for history in fold.histories):
            raise InvalidInput(
                f"nothing to measure in the {window} window: expected users who like something new within it and "
                "likes before it; give more interactions or other shares",
                field=window,
            )
    tell("tuning on the validation window")
    tuned = _tune(tuning, features_at(tuning.start), options)
    tell("measuring on the test window")
    features = features_at(testing.start)
    measured = _measure(testing, features, tuned, options)
    left_out = [] if features is not None else ["without features nothing can be said of content, cold items, variety"]
    return Comparison(
        rows=len(log),
        liked=int(log.liked.sum()),
        users=log.n_users,
        items=log.n_items,
        cold=int((~testing.met).sum()),
        options=options,
        starts=(tuning.start, testing.start),
        tuned=tuned,
        coverage=measured.coverage(),
        slices=measured.slices(),
        left_out=tuple(left_out),
    )


def _check(log: InteractionLog, options: Options) -> None:
    if not len(log):
        raise InvalidInput("the log is empty: expected interactions of several users with several items", field="log")
    if log.n_items < 2:
        raise InvalidInput("there is one item only: expected at least two to be told apart", field="item")
    if not log.liked.any():
        raise InvalidInput("no interaction counts as liked: expected values above the least one", field="value")
    if not (options.validation > 0 and options.test > 0 and options.validation + options.test < 1):
        raise InvalidInput(
            f"the windows are {options.validation:g} and {options.test:g} of the rows: expected two shares above 0 "
            "that leave something to learn from",
            field="test",
        )
    if options.k < 1:
        raise InvalidInput(f"k is {options.k}: expected at least 1", field="k")


def _tune(fold: Fold, features: Embeddings | None, options: Options) -> Tuned:
    """Each part alone first, then the weights with which they are added."""
    rng = np.random.default_rng(options.seed)
    asked = sorted(rng.permutation(len(fold.queries))[:TUNED_ON])
    fold = replace(fold, queries=tuple(fold.queries[i] for i in asked))
    popular = popularity(fold.histories, fold.n_items)
    ties = rng.permutation(fold.n_items)

    def ndcg(scores: Sequence[Scores]) -> float:
        return float(np.mean([_ndcg(q, s, ties, options.k) for q, s in zip(fold.queries, scores, strict=True)]))

    def best(candidates: Mapping[float | Taste, _Scorer]) -> tuple[float | Taste, list[Scores]]:
        scored = {name: [_or(c.scores(q), popular) for q in fold.queries] for name, c in candidates.items()}
        chosen = max(scored, key=lambda name: ndcg(scored[name]))  # the first of equally good ones
        return chosen, scored[chosen]

    shrinkage, watched = best({s: CoWatch(fold.histories, fold.n_items, shrinkage=s) for s in SHRINKAGE})
    l2, linear = best({value: Ease(fold.histories, fold.n_items, l2=float(value)) for value in L2})
    parts = {POPULAR: [np.log1p(popular)] * len(fold.queries), CO_WATCH: watched, EASE_FEATURES: linear}
    side: float | Taste = 0.0
    taste: float | Taste | None = None
    if features is not None:
        with_features, scored = best(
            {s: Ease(fold.histories, fold.n_items, l2=float(l2), features=features, side=s) for s in SIDE}
        )
        if ndcg(scored) > ndcg(linear):
            side, parts[EASE_FEATURES] = with_features, scored
        taste, parts[CONTENT] = best({taste: Content(features, taste=taste) for taste in Taste})
    names = [name for name in BLENDED if name in parts]
    stacks = [np.stack([standardised(parts[name][i]) for name in names]) for i in range(len(fold.queries))]
    weights = max(_simplex(len(names)), key=lambda w: ndcg([np.asarray(w) @ stack for stack in stacks]))
    return Tuned(
        weights=dict(zip(names, weights, strict=True)),
        l2=float(l2),
        side=float(side),
        shrinkage=float(shrinkage),
        taste=None if taste is None else str(taste),
        users=len(fold.queries),
    )


def _or(scores: Scores, popular: Scores) -> Scores:
    """Where nothing can be said of a user, what is popular: so do the recommendations, and so no recommender is worse
    than another by what it does not know. Other ties are broken at random, by the seed."""
    return scores if np.ptp(scores) > 0 else np.log1p(popular)


def _simplex(parts: int) -> list[tuple[float, ...]]:
    """All weights in steps that sum to 1; even ones first, so that of equally good ones the most even one is taken."""
    whole = [steps for steps in itertools.product(range(STEPS + 1), repeat=parts) if sum(steps) == STEPS]
    return [tuple(s / STEPS for s in steps) for steps in sorted(whole, key=lambda w: sum(s * s for s in w))]


def _ndcg(query: Query, scores: Scores, ties: Indices, k: int) -> float:
    shown = measures.top(measures.without(scores, query.known), ties, k)
    ranks = np.flatnonzero(np.isin(shown, query.targets)) + 1
    missed = np.full(len(query.targets) - len(ranks), np.iinfo(np.intp).max, dtype=np.intp)
    return measures.measure(np.concatenate([ranks, missed]), k).ndcg


def _measure(fold: Fold, features: Embeddings | None, tuned: Tuned, options: Options) -> _Measured:
    rng = np.random.default_rng(options.seed)
    popular = popularity(fold.histories, fold.n_items)
    ties = rng.permutation(fold.n_items)
    scorers: dict[str, _Scorer] = {
        CO_WATCH: CoWatch(fold.histories, fold.n_items, shrinkage=tuned.shrinkage),
        EASE: Ease(fold.histories, fold.n_items, l2=tuned.l2),
    }
    if features is not None and tuned.taste is not None:
        scorers[CONTENT] = Content(features, taste=Taste(tuned.taste))
    linear: _Scorer = scorers[EASE]
    if features is not None and tuned.side > 0:
        linear = Ease(fold.histories, fold.n_items, l2=tuned.l2, features=features, side=tuned.side)
    measured = _Measured(fold, features, options)
    for query in fold.queries:
        scores = {POPULAR: np.log1p(popular)} | {
            name: _or(scorer.scores(query), popular) for name, scorer in scorers.items()
        }
        parts = {**scores, EASE_FEATURES: _or(linear.scores(query), popular)}
        blend = np.sum([weight * standardised(parts[name]) for name, weight in tuned.weights.items()], axis=0)
        measured.add_random(query, rng.random(fold.n_items), ties)
        for name, given in {**scores, HYBRID: blend}.items():
            measured.add(name, query, given, ties)
    return measured


class _Measured:
    """Collects the measures of each user, and sums them up by slice."""

    def __init__(self, fold: Fold, features: Embeddings | None, options: Options) -> None:
        self._fold, self._features, self._options = fold, features, options
        self._popular = popularity(fold.histories, fold.n_items)
        self._learned_from = sum(1 for history in fold.histories if len(history))
        self._lists: dict[str, list[Indices]] = {}
        self._all: dict[str, list[list[float]]] = {}
        self._cold: dict[str, dict[str, list[list[float]]]] = {COLD_ITEMS: {}, COLD_AMONG_COLD: {}}
        k = options.k
        self._names = (f"hr@{k}", f"ndcg@{k}", f"recall@{k}", "mrr", f"novelty@{k}", f"variety@{k}")

    def add(self, method: str, query: Query, scores: Scores, ties: Indices) -> None:
        """One user's ranking of one recommender."""
        left, k = measures.without(scores, query.known), self._options.k
        ranks = measures.ranks_of(query.targets, left, ties)
        self._add(method, measures.top(left, ties, k), measures.measure(ranks, k))
        cold = query.targets[~self._fold.met[query.targets]]
        if len(cold) and len(query.history):
            among_cold = measures.without(left, np.flatnonzero(self._fold.met))
            for name, candidates in ((COLD_ITEMS, left), (COLD_AMONG_COLD, among_cold)):
                found = measures.measure(measures.ranks_of(cold, candidates, ties), k)
                self._cold[name].setdefault(method, []).append(_row(found))

    def add_random(self, query: Query, scores: Scores, ties: Indices) -> None:
        """What a random order gives on average; the list, for what is said of lists, is the one that was drawn."""
        of, k = self._fold.n_items - len(query.known), self._options.k
        shown = measures.top(measures.without(scores, query.known), ties, k)
        self._add(RANDOM, shown, measures.chance(len(query.targets), of, k))
        cold = int((~self._fold.met[query.targets]).sum())
        if cold and len(query.history):
            for name, candidates in ((COLD_ITEMS, of), (COLD_AMONG_COLD, int((~self._fold.met).sum()))):
                self._cold[name].setdefault(RANDOM, []).append(_row(measures.chance(cold, candidates, k)))

    def _add(self, method: str, shown: Indices, found: Ranked) -> None:
        self._lists.setdefault(method, []).append(shown)
        told = [
            measures.novelty(shown, self._popular, self._learned_from),
            measures.variety(shown, self._features) if self._features is not None else float("nan"),
        ]
        self._all.setdefault(method, []).append([*_row(found), *told])

    def coverage(self) -> dict[str, float]:
        """By recommender."""
        return {name: measures.coverage(lists, self._fold.n_items) for name, lists in self._lists.items()}

    def slices(self) -> dict[str, Slice]:
        """By name; those that nobody is in are not there."""
        lengths = np.array([len(query.history) for query in self._fold.queries])
        targets = np.array([len(query.targets) for query in self._fold.queries])
        cold = np.array([int((~self._fold.met[query.targets]).sum()) for query in self._fold.queries])
        cold = cold[(cold > 0) & (lengths > 0)]
        heavy = (lengths >= COLD_USER) & (lengths >= np.quantile(lengths, 1 - HEAVY_SHARE))
        of_all = {name: np.array(rows) for name, rows in self._all.items()}
        found = {ALL: self._slice(of_all, targets)}
        for name, by_method in self._cold.items():
            if by_method:
                found[name] = self._slice({method: np.array(rows) for method, rows in by_method.items()}, cold)
        cold_user = lengths < COLD_USER
        for name, chosen in ((COLD_USERS, cold_user), (WARM_USERS, ~cold_user), (HEAVY_USERS, heavy)):
            if chosen.any():
                found[name] = self._slice({n: rows[chosen] for n, rows in of_all.items()}, targets[chosen])
        return found

    def _slice(self, values: Mapping[str, npt.NDArray[np.float64]], targets: Indices) -> Slice:
        # A seed for each slice anew: what one slice draws does not depend on which others there are.
        drawn = measures.resamples(len(targets), np.random.default_rng(self._options.seed))
        names = self._names[: next(iter(values.values())).shape[1]]
        methods = {
            method: {name: measures.mean_interval(rows[:, i], drawn) for i, name in enumerate(names)}
            for method, rows in values.items()
        }
        ndcg = {method: rows[:, _NDCG] for method, rows in values.items()}
        best = max((m for m in ndcg if m != HYBRID), key=lambda m: float(ndcg[m].mean()))
        ratio = measures.ratio_interval(ndcg[HYBRID], ndcg[best], drawn)
        return Slice(len(targets), int(targets.sum()), methods, Ratio(best, ratio))


_NDCG = 1


def _row(found: Ranked) -> list[float]:
    return [found.hit_rate, found.ndcg, found.recall, found.reciprocal_rank]
