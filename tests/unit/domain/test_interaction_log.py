"""Logs are folded and cut by time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrec.domain.interaction_log import SplitBy, fold_log, folds

EVENTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 30), st.booleans()), min_size=1, max_size=60
)


def log_of(events: list[tuple[int, int, int, bool]], n_items: int = 7):  # type: ignore[no-untyped-def]
    users, items, times, liked = zip(*events, strict=True)
    return fold_log(users, items, times, liked, n_items=n_items)


@given(EVENTS)
def test_a_pair_is_one_row_at_its_first_like(events: list[tuple[int, int, int, bool]]) -> None:
    log = log_of(events)
    expected = {}
    for user, item in {(u, i) for u, i, _, _ in events}:
        mine = [(t, good) for u, i, t, good in events if (u, i) == (user, item)]
        likes = [t for t, good in mine if good]
        expected[user, item] = (min(likes or [t for t, _ in mine]), bool(likes))
    rows = zip(log.users.tolist(), log.items.tolist(), log.times.tolist(), log.liked.tolist(), strict=True)
    assert {(u, i): (t, good) for u, i, t, good in rows} == expected
    assert len(log) == len(expected)
    assert (np.diff(log.times) >= 0).all()


@settings(deadline=None)
@given(EVENTS, st.sampled_from(list(SplitBy)))
def test_nothing_of_the_window_is_learned_from(events: list[tuple[int, int, int, bool]], by: SplitBy) -> None:
    log = log_of(events)
    at = {(u, i): t for u, i, t in zip(log.users.tolist(), log.items.tolist(), log.times.tolist(), strict=True)}
    for fold in folds(log, by, validation=0.2, test=0.2):
        met = set()
        for query in fold.queries:
            targets, known = set(query.targets.tolist()), set(query.known.tolist())
            assert targets
            assert not targets & known
            assert set(query.history.tolist()) <= known
            first = min(at[query.user, item] for item in targets)
            assert all(at[query.user, item] <= first for item in known)
            if fold.start is not None:
                assert all(at[query.user, item] < fold.start <= first for item in known)
        for user, history in enumerate(fold.histories):
            times = [at[user, item] for item in history.tolist()]
            assert times == sorted(times)
            if fold.start is not None:
                assert all(time < fold.start for time in times)
            met |= set(history.tolist())
        assert fold.met[sorted(met)].all()


def test_windows_by_time() -> None:
    log = log_of([(i % 2, i % 7, i, i != 8) for i in range(10)])
    tuning, testing = folds(log, SplitBy.TIME, validation=0.2, test=0.3)
    assert (tuning.start, testing.start) == (5.0, 7.0)
    assert [h.tolist() for h in tuning.histories] == [[0, 2, 4], [1, 3]]
    assert [(q.user, q.targets.tolist()) for q in tuning.queries] == [(0, [6]), (1, [5])]
    assert [(q.user, q.targets.tolist()) for q in testing.queries] == [(1, [0, 2])], "what was not liked is no target"
    assert testing.met.all()


def test_rows_of_one_moment_stay_together() -> None:
    log = log_of([(0, i, 5, True) for i in range(7)])
    tuning, testing = folds(log, SplitBy.TIME)
    assert tuning.start == testing.start == 5.0
    assert not tuning.queries, "all lie in the test window, and nothing before it"


def test_windows_by_user() -> None:
    log = log_of([(0, i, 100 + i, True) for i in range(5)] + [(1, i, i, True) for i in range(5)])
    tuning, testing = folds(log, SplitBy.USER, validation=0.2, test=0.2)
    assert [q.targets.tolist() for q in tuning.queries] == [[3], [3]]
    assert [q.targets.tolist() for q in testing.queries] == [[4], [4]]
    assert testing.queries[0].history.tolist() == [0, 1, 2, 3]
    assert testing.start is None
