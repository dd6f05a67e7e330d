"""Databases bound the number of parameters of one statement (SQLite: 32,766; PostgreSQL: 65,535)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
BATCH = 2000


def in_batches(values: Iterable[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """Lists of at most `size` values, in order; none for no values."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
