"""What a comparison may look at, and who is in which slice."""

from __future__ import annotations

import numpy as np
import pytest

from vidrec.application import evaluate_interactions
from vidrec.application.evaluate_interactions import Comparison, Options, compare
from vidrec.domain.interaction_log import InteractionLog, Query, SplitBy, fold_log
from vidrec.domain.measures import measure, ranks_of, without

ROWS, ITEMS = 300, 30
OPTIONS = Options(validation=0.2, test=0.2, k=5)


@pytest.fixture(autouse=True)
def few_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_interactions, "STEPS", 2)


def log_of(last_items: int = 0) -> InteractionLog:
    """The same but for the items of the last fifth, which are moved on by so many."""
    rng = np.random.default_rng(3)
    users, items = (25 * rng.random(ROWS) ** 2).astype(int), rng.integers(0, ITEMS - 5, ROWS)
    items[-ROWS // 5 :] = (items[-ROWS // 5 :] + last_items) % ITEMS
    return fold_log(users.tolist(), items.tolist(), list(range(ROWS)), [True] * ROWS, n_items=ITEMS)


def features() -> np.ndarray:
    rows = np.random.default_rng(5).normal(size=(ITEMS, 4)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def compared(log: InteractionLog, options: Options = OPTIONS) -> Comparison:
    return compare(log, lambda _: features(), options)


def test_nothing_is_tuned_on_the_test_window() -> None:
    found = [compared(fold_log(*columns, n_items=ITEMS)) for columns in (early_and(0), early_and(9))]
    assert found[0].starts == found[1].starts
    assert found[0].tuned == found[1].tuned
    assert found[0].slices["all"].methods != found[1].slices["all"].methods


def early_and(moved: int) -> tuple[list[int], list[int], list[int], list[bool]]:
    """240 pairs, and 60 of other users within the test window, whose items are moved on by so many."""
    pairs = np.random.default_rng(3).permutation(20 * ITEMS)[:240]
    late = [(20 + i // 3, (i * 7 + moved) % ITEMS) for i in range(60)]
    users = [*(pairs // ITEMS).tolist(), *(user for user, _ in late)]
    items = [*(pairs % ITEMS).tolist(), *(item for _, item in late)]
    return users, items, list(range(300)), [True] * 300


def test_features_are_asked_for_at_the_moment_that_the_window_begins() -> None:
    asked: list[float | None] = []

    def at(moment: float | None) -> np.ndarray:
        asked.append(moment)
        return features()

    found = compare(log_of(), at, OPTIONS)
    assert tuple(asked) == found.starts
    compare(log_of(), at, Options(split=SplitBy.USER, validation=0.2, test=0.2))
    assert asked[2:] == [None, None]


def test_slices_count_who_is_in_them() -> None:
    log = log_of(last_items=5)
    start = compared(log).starts[1]
    assert start is not None
    before, within = log.times < start, log.times >= start
    history = [int((before & (log.users == user)).sum()) for user in range(log.n_users)]
    cold = within & ~np.isin(log.items, log.items[before])
    asking = sorted(set(log.users[within].tolist()))
    slices = compared(log).slices
    assert (slices["all"].users, slices["all"].targets) == (len(asking), int(within.sum()))
    assert slices["cold users"].users == sum(history[user] < 5 for user in asking)
    assert slices["warm users"].users == sum(history[user] >= 5 for user in asking)
    known = [u for u in set(log.users[cold].tolist()) if history[u]]
    assert slices["cold items"].users == slices["cold items among cold"].users == len(known)
    assert slices["cold items"].targets == int((cold & np.isin(log.users, known)).sum())
    everybody = slices["all"]
    best = max(v["ndcg@5"].value for name, v in everybody.methods.items() if name != "hybrid")
    assert everybody.methods[everybody.hybrid.best]["ndcg@5"].value == best


def test_the_same_seed_gives_the_same_answer() -> None:
    assert compared(log_of()).slices["all"] == compared(log_of()).slices["all"]


@pytest.mark.parametrize("seed", range(10))
def test_weights_are_tuned_by_the_measure_that_is_reported(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, ties = rng.integers(0, 4, 20).astype(float), rng.permutation(20)
    known, targets = np.split(rng.permutation(20)[:8], [4])
    query = Query(0, known, np.zeros(4), known, targets)
    ranks = ranks_of(targets, without(scores, known), ties)
    found = evaluate_interactions._ndcg(query, scores, ties, 5)
    assert found == pytest.approx(measure(ranks, 5).ndcg)
