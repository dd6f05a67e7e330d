"""Interactions and features from rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from vidrec.application.interaction_tables import Columns, Table, read_features, read_log
from vidrec.domain.errors import InvalidInput

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def table(*rows: dict[str, object], name: str = "t.csv") -> Table:
    return Table(name, list(enumerate(rows, start=1)))


def features(*rows: dict[str, object]):  # type: ignore[no-untyped-def]
    return read_features([table(*rows)], Columns(), now=NOW)


def test_a_log() -> None:
    rows = table(
        {"user": "a", "item": 7, "time": "1000", "value": "4.5"},
        {"user": "b", "item": "7", "time": "1970-01-01T00:10:00Z", "value": None},
        {"user": "a", "item": "8", "time": datetime(1970, 1, 1, 0, 0, 5), "value": 3},
    )
    log, items = read_log(rows, ["9", "7"], Columns(), least=4, now=NOW)
    assert list(items) == ["7", "8", "9"]
    assert log.times.tolist() == [5.0, 600.0, 1000.0]
    assert log.liked.tolist() == [False, True, True]
    assert (log.n_users, log.n_items) == (2, 3)


def test_words_by_tf_idf() -> None:
    found = features(
        {"item": "1", "user": "x", "genres": "Drama|war", "title": "One"},
        {"item": "2", "genres": "drama", "title": "Two"},
        {"item": "3", "genres": "War | Drama", "title": "Three"},
        {"item": "4", "genres": None, "title": "Four"},
    )
    rows = found.at(None)
    assert rows is not None
    drama, war = np.log(5 / 4) + 1, np.log(5 / 3) + 1
    both = np.array([drama, war]) / np.hypot(drama, war)
    assert rows == pytest.approx(np.array([both, [1, 0], both, [0, 0]]), abs=1e-6)


def test_what_is_known_later_is_not_known() -> None:
    found = features(
        {"item": "1", "tag": "slow", "time": "100"},
        {"item": "2", "tag": "slow", "time": "200"},
        {"item": "3", "tag": "slow", "time": "300"},
    )
    for moment, known in ((None, 0), (150, 0), (250, 2), (300, 2), (301, 3)):
        rows = found.at(moment)
        assert (0 if rows is None else int(rows.any(axis=1).sum())) == known


def test_vectors_weigh_as_much_as_words() -> None:
    found = features(
        {"item": "1", "v": [3.0, 4.0], "tags": ["a", "b"]},
        {"item": "2", "v": [0.0, 2], "tags": ["a"]},
        {"item": "3", "v": None, "tags": ["b"]},
    )
    rows = found.at(None)
    assert rows is not None
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert rows[0, -2:] == pytest.approx(np.array([0.6, 0.8]) / np.sqrt(2))
    assert rows[2, -2:].tolist() == [0, 0]


def test_nothing_is_known() -> None:
    assert read_features([], Columns(), now=NOW).at(None) is None
    found = features({"item": "1", "genres": "one"}, {"item": "2", "genres": "two"})
    assert found.at(None) is None, "words of one item alone join nothing"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"name": "x"}], "t.csv: no column 'item'; it has name"),
        ([], "t.csv: holds no row"),
        ([{"item": None}], "t.csv: row 1, item: expected an id"),
        ([{"item": "1", "time": NOW + timedelta(days=1)}], "t.csv: row 1, time: expected a time in the past"),
        ([{"item": "1", "v": [1.0]}, {"item": "2", "v": [1.0, 2.0]}], "t.csv: row 2, v: expected 1 finite numbers"),
        ([{"item": "1", "v": [float("nan")]}], "t.csv: row 1, v: expected 1 finite numbers"),
    ],
)
def test_bad_features(rows: list[dict[str, object]], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        features(*rows)
