"""Interactions and features of items from tables, for `vidrec evaluate interactions`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from vidrec.application.cells import read_time
from vidrec.domain.embedding import normalise
from vidrec.domain.errors import InvalidInput
from vidrec.domain.interaction_log import InteractionLog, fold_log
from vidrec.domain.models import Embeddings

SEPARATOR = "|"
"""Between the words of one cell, as in MovieLens' genres."""
MOST_WORDS = 4096
"""So many of the words that most items have are looked at."""
Row = tuple[int, Mapping[str, object]]
"""Number of the row, from 1, and its values by column; empty ones are None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns are called."""

    user: str = "user"
    item: str = "item"
    time: str = "time"
    value: str = "value"


@dataclass(slots=True)
class Table:
    """A file and its rows; the name is for sentences."""

    name: str
    rows: Iterable[Row]


@dataclass(slots=True)
class Features:
    """What is known of the items of a log."""

    items: Sequence[str]
    words: list[tuple[str, str, float | None]] = field(default_factory=list)
    """Item, word, and the moment from which it is known; None: always."""
    vectors: dict[str, list[float]] = field(default_factory=dict)
    """Item -> numbers, from columns of lists of numbers."""

    def at(self, moment: float | None) -> Embeddings | None:
        """A row per item, in order: of length 1, zeros where nothing is known of it; None where nothing is known of
        any. Words count by tf-idf (Salton & Buckley 1988) with a tf of 0 or 1; those of one item alone join nothing
        and are left out. Of what has a time, only what was known before the moment; None: nothing of it. Vectors,
        where there are some, weigh as much as all words together."""
        place = {item: i for i, item in enumerate(self.items)}
        known = defaultdict(set)
        for item, word, since in self.words:
            if item in place and (since is None or (moment is not None and since < moment)):
                known[word].add(place[item])
        most = [
            word for word, _ in Counter({w: len(i) for w, i in known.items() if len(i) > 1}).most_common(MOST_WORDS)
        ]
        blocks = []
        if most:
            block = np.zeros((len(self.items), len(most)), dtype=np.float32)
            for column, word in enumerate(most):
                block[sorted(known[word]), column] = math.log((1 + len(self.items)) / (1 + len(known[word]))) + 1
            blocks.append(normalise(block))
        if self.vectors:
            given = np.zeros((len(self.items), len(next(iter(self.vectors.values())))), dtype=np.float32)
            for item, vector in self.vectors.items():
                if item in place:
                    given[place[item]] = vector
            blocks.append(normalise(given))
        return normalise(np.concatenate(blocks, axis=1)) if blocks else None


def read_log(
    table: Table, more_items: Sequence[str], columns: Columns, *, least: float | None, now: datetime
) -> tuple[InteractionLog, Sequence[str]]:
    """The log and its items, in the order of their numbers: those of the table and `more_items`. A row counts as liked
    where its value is at least `least` (None: above 0) or where there is no value. InvalidInput names file, row and
    column; a time later than `now` is such an error."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    who, what, when, liked = [], [], [], []
    for number, row in table.rows:
        _expect(table, row, columns.user, columns.item, columns.time)
        who.append(users.setdefault(_id(table, number, row, columns.user), len(users)))
        what.append(items.setdefault(_id(table, number, row, columns.item), len(items)))
        when.append(_past(table, number, row, columns.time, now))
        value = _value(table, number, row, columns.value)
        liked.append(value is None or (value > 0 if least is None else value >= least))
    if not who:
        raise InvalidInput(f"{table.name}: holds no row; expected interactions", field=table.name)
    for item in more_items:
        items.setdefault(item, len(items))
    if len(items) < 2:
        raise InvalidInput(
            f"{table.name}, {columns.item}: there is one item only; expected at least two to be told apart",
            field=columns.item,
        )
    if not any(liked):
        wanted = "above 0" if least is None else f"of {least:g} or more"
        raise InvalidInput(f"{table.name}, {columns.value}: no value {wanted}; expected some", field=columns.value)
    return fold_log(who, what, when, liked, n_items=len(items)), list(items)


def read_features(tables: Iterable[Table], columns: Columns, *, now: datetime) -> Features:
    """What the tables say of items, in the order in which they are met: text cells are words, parted by `|`; lists of
    text are words as well, a list of numbers is a vector. Columns named as the user or the value of interactions are
    not looked at. An item may have many rows."""
    found = Features(items=[])
    items: dict[str, None] = {}
    for table in tables:
        empty = True
        for number, row in table.rows:
            empty = False
            _expect(table, row, columns.item)
            item = _id(table, number, row, columns.item)
            items[item] = None
            since = _past(table, number, row, columns.time, now) if row.get(columns.time) is not None else None
            for column, cell in row.items():
                if column in (columns.item, columns.user, columns.time, columns.value) or cell is None:
                    continue
                _add_cell(found, table, number, item, column, cell, since)
        if empty:
            raise InvalidInput(f"{table.name}: holds no row; expected features of items", field=table.name)
    found.items = list(items)
    return found


def _add_cell(
    found: Features, table: Table, number: int, item: str, column: str, cell: object, since: float | None
) -> None:
    if isinstance(cell, list) and cell and all(isinstance(c, int | float) for c in cell):
        vector = [float(c) for c in cell]
        length = len(next(iter(found.vectors.values()), vector))
        if len(vector) != length or not all(math.isfinite(c) for c in vector):
            raise _wrong(table, number, column, f"{length} finite numbers, as in the rows before", cell)
        found.vectors[item] = vector
        return
    words = cell if isinstance(cell, list) else str(cell).split(SEPARATOR)
    for word in {str(w).strip().casefold() for w in words} - {""}:
        found.words.append((item, f"{column}={word}", since))


def _expect(table: Table, row: Mapping[str, object], *wanted: str) -> None:
    for column in wanted:
        if column not in row:
            raise InvalidInput(f"{table.name}: no column {column!r}; it has {', '.join(row)}", field=column)


def _id(table: Table, number: int, row: Mapping[str, object], column: str) -> str:
    text = "" if row[column] is None else str(row[column]).strip()
    if not text:
        raise _wrong(table, number, column, "an id", row[column])
    return text


def _past(table: Table, number: int, row: Mapping[str, object], column: str, now: datetime) -> float:
    try:
        at = read_time(row[column])
    except ValueError:
        raise _wrong(table, number, column, "ISO 8601 or seconds since 1970", row[column]) from None
    if at > now:
        raise _wrong(table, number, column, f"a time in the past (now is {now:%Y-%m-%dT%H:%M:%SZ})", row[column])
    return at.astimezone(UTC).timestamp()


def _value(table: Table, number: int, row: Mapping[str, object], column: str) -> float | None:
    cell = row.get(column)
    if cell is None:
        return None
    try:
        value = float(str(cell))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(table, number, column, "a number", cell)
    return value


def _wrong(table: Table, number: int, column: str, expected: str, got: object) -> InvalidInput:
    return InvalidInput(
        f"{table.name}: row {number}, {column}: expected {expected} (got {got!r})", field=column, index=number
    )
