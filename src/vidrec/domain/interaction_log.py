"""What users did, as numbers, cut by time into what is learned from, what is tuned on and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class InteractionLog:
    """One row per user and item, in order of time. Users and items are numbers from 0."""

    users: Indices
    items: Indices
    times: npt.NDArray[np.float64]
    """Seconds since 1970: of the first time that the user liked the item, or else of the first time they met."""
    liked: npt.NDArray[np.bool_]
    """Whether it is what a recommender should have found; the others are known to the user and nothing more."""
    n_users: int
    n_items: int
    """Of the whole catalogue, items that nobody met included."""

    def __len__(self) -> int:
        return len(self.users)


def fold_log(
    users: Sequence[int], items: Sequence[int], times: Sequence[float], liked: Sequence[bool], *, n_items: int
) -> InteractionLog:
    """Folds events in any order into one row per user and item. Equal times stay in the order given."""
    at, good = np.asarray(times, dtype=np.float64), np.asarray(liked, dtype=bool)
    who, what = np.asarray(users, dtype=np.intp), np.asarray(items, dtype=np.intp)
    order = np.lexsort((at, ~good))  # liked ones first, each part by time: the first of a pair is the one to keep
    _, first = np.unique(who[order] * max(n_items, 1) + what[order], return_index=True)
    kept = np.sort(order[first])
    kept = kept[np.argsort(at[kept], kind="stable")]
    return InteractionLog(
        who[kept], what[kept], at[kept], good[kept], n_users=int(who.max(initial=-1)) + 1, n_items=n_items
    )


class SplitBy(StrEnum):
    """How a log is cut."""

    TIME = "time"
    """At two moments, the same for all users: nothing that is learned from is later than what is measured. Ji et al.
    2023 (arXiv:2010.11060) show how far other cuts mislead."""
    USER = "user"
    """Each user's own last ones. More users can be measured, but others' later interactions are learned from."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for one user: find the targets among all items but the known ones."""

    user: int
    history: Indices
    """Items liked before, oldest first."""
    history_times: npt.NDArray[np.float64]
    known: Indices
    """All items met before, liked or not: they are not recommended."""
    targets: Indices
    """Items liked within the window."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One window to be predicted and all that may be learned from."""

    histories: tuple[Indices, ...]
    """Per user the items liked before the window, oldest first."""
    met: npt.NDArray[np.bool_]
    """Per item whether anybody met it before the window; those that nobody met are cold."""
    queries: tuple[Query, ...]
    """One per user with a target, by user."""
    n_items: int
    start: float | None
    """Moment at which the window begins, seconds since 1970; None where each user has a moment of their own."""


def folds(log: InteractionLog, by: SplitBy, *, validation: float = 0.1, test: float = 0.1) -> tuple[Fold, Fold]:
    """The fold to tune on and the fold to measure: windows of these shares of the rows, the test window last. What lies
    in the validation window is learned from when the test window is measured. Rows of one moment are not cut apart."""
    if by is SplitBy.USER:
        windows = _windows_by_user(log, validation, test)
        starts: tuple[float | None, float | None] = (None, None)
    else:
        first, second = (
            float(log.times[min(len(log) - 1, int(len(log) * share))]) for share in (1 - validation - test, 1 - test)
        )
        windows = (log.times >= first).astype(np.int8) + (log.times >= second)
        starts = (first, second)
    return _fold(log, windows, 1, starts[0]), _fold(log, windows, 2, starts[1])


def _windows_by_user(log: InteractionLog, validation: float, test: float) -> npt.NDArray[np.int8]:
    """0, 1 or 2 per row, by its place among the rows of its user."""
    windows = np.zeros(len(log), dtype=np.int8)
    for rows in _by_user(log, np.arange(len(log))):
        first, second = (round(len(rows) * share) for share in (1 - validation - test, 1 - test))
        windows[rows[first:second]] = 1
        windows[rows[second:]] = 2
    return windows


def _by_user(log: InteractionLog, rows: Indices) -> list[Indices]:
    """Per user their rows among these, in order."""
    ordered = rows[np.argsort(log.users[rows], kind="stable")]
    return np.split(ordered, np.searchsorted(log.users[ordered], np.arange(1, log.n_users)))


def _fold(log: InteractionLog, windows: npt.NDArray[np.int8], window: int, start: float | None) -> Fold:
    before = _by_user(log, np.flatnonzero(windows < window))
    within = _by_user(log, np.flatnonzero((windows == window) & log.liked))
    liked = [rows[log.liked[rows]] for rows in before]
    met = np.zeros(log.n_items, dtype=bool)
    met[log.items[windows < window]] = True
    return Fold(
        histories=tuple(log.items[rows] for rows in liked),
        met=met,
        queries=tuple(
            Query(user, log.items[liked[user]], log.times[liked[user]], log.items[before[user]], log.items[rows])
            for user, rows in enumerate(within)
            if len(rows)
        ),
        n_items=log.n_items,
        start=start,
    )
