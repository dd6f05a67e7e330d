"""Segments are read once, and again when a video was indexed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.library import DIMENSION, MODEL, SEGMENTS, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.segment_cache import SegmentCache
from vidrec.domain.errors import IndexUnavailable
from vidrec.domain.models import Video

ONE_VIDEO = SEGMENTS * DIMENSION * 4
"""Bytes of embeddings."""


@pytest.fixture
def library(database: SqlDatabase) -> Library:
    library = Library(database)
    library.add_family("sea", 5)
    library.index.calls.clear()
    return library


def videos(library: Library) -> Sequence[Video]:
    with library.database.snapshot() as uow:
        return list(uow.catalogue.get(library.families["sea"]).values())


def test_only_what_is_not_held_is_read(library: Library) -> None:
    cache, found = SegmentCache(library.index), videos(library)
    first = cache.segments(MODEL, found[:2])
    assert set(first) == {v.id for v in found[:2]}
    assert [s.number for s in first[found[0].id]] == list(range(SEGMENTS))
    assert cache.segments(MODEL, found[:2]) == first
    assert library.index.calls == ["segments"]
    assert set(cache.segments(MODEL, found[:3])) == {v.id for v in found[:3]}
    assert library.index.calls == ["segments"] * 2
    assert cache.segments(MODEL, []) == {}


def test_a_video_that_was_indexed_again_is_read_again(library: Library) -> None:
    cache, video = SegmentCache(library.index), videos(library)[0]
    cache.segments(MODEL, [video])
    cache.segments(MODEL, [replace(video, indexed_at=datetime(2030, 1, 1, tzinfo=UTC))])
    assert library.index.calls == ["segments"] * 2


def test_the_least_recently_used_go_first_and_memory_is_bounded(library: Library) -> None:
    cache, found = SegmentCache(library.index, max_bytes=3 * ONE_VIDEO), videos(library)
    for video in (*found[:3], found[0], found[3]):  # the second is the one that was not used for longest
        cache.segments(MODEL, [video])
    library.index.calls.clear()
    cache.segments(MODEL, [found[0], found[2], found[3]])
    assert library.index.calls == []
    cache.segments(MODEL, [found[1]])
    assert library.index.calls == ["segments"]


def test_one_answer_larger_than_the_bound_is_still_answered(library: Library) -> None:
    cache, found = SegmentCache(library.index, max_bytes=1), videos(library)
    assert set(cache.segments(MODEL, found)) == {v.id for v in found}


def test_what_is_held_does_not_need_the_index(library: Library) -> None:
    cache, found = SegmentCache(library.index), videos(library)
    cache.segments(MODEL, found[:1])
    library.index.available = False
    assert set(cache.segments(MODEL, found[:1])) == {found[0].id}
    with pytest.raises(IndexUnavailable):
        cache.segments(MODEL, found)
