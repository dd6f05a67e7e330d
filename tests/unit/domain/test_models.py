"""Ids."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidrec.domain import models
from vidrec.domain.models import new_id, segment_id


def test_ids_are_uuids_of_version_7_and_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_ascend_also_within_a_millisecond_and_when_the_clock_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_id()
    now = time.time_ns()
    monkeypatch.setattr(models.time, "time_ns", lambda: now - 10**9)
    ids = [first, *(new_id() for _ in range(10_000))]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {uuid.UUID(made).version for made in ids} == {7}


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [made for batch in pool.map(lambda _: [new_id() for _ in range(500)], range(8)) for made in batch]
    assert len(set(ids)) == len(ids)


def test_a_segment_id_sorts_by_number() -> None:
    assert segment_id("v", 7) == "v:000007"
    assert segment_id("v", 7) < segment_id("v", 10) < segment_id("v", 100)
