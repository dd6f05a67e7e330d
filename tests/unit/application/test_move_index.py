"""Copying a library's vectors from one index to another."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.index import FakeIndex
from tests.library import MODEL, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.move_index import VIDEOS_A_READ, move_index
from vidrec.domain.errors import Conflict, IndexUnavailable
from vidrec.domain.filters import VideoFilter


def nobody_looks(done: int, total: int) -> None:
    assert done <= total


def test_all_vectors_arrive_and_twice_is_once(database: SqlDatabase) -> None:
    library = Library(database)
    ids = library.add_family("sea", VIDEOS_A_READ + 3)
    target = FakeIndex()
    steps: list[tuple[int, int]] = []
    for everything, copied in ((False, len(ids)), (False, 0), (True, len(ids))):
        moved = move_index(
            database, library.index, target, everything=everything, progress=lambda *step: steps.append(step)
        )
        assert (moved.videos, moved.segments, moved.missing) == (copied, 3 * copied, 0)
        assert moved.already == len(ids) - copied
        assert target.count(MODEL) == library.index.count(MODEL)
    assert steps[1::2] == [(len(ids), len(ids))] * 3
    for video_id, embedding in library.index.videos(MODEL, ids).items():
        np.testing.assert_array_equal(target.videos(MODEL, [video_id])[video_id], embedding)
    [[hit]] = target.search(MODEL, embedding[np.newaxis], limit=1, only=VideoFilter(category="sea"))
    assert hit.video_id == video_id


def test_what_has_no_vectors_is_counted_and_stops_nothing(database: SqlDatabase) -> None:
    library = Library(database)
    ids = library.add_family("sea", 4)
    library.index.delete(MODEL, ids[:1])
    target = FakeIndex()
    moved = move_index(database, library.index, target, progress=nobody_looks)
    assert (moved.videos, moved.missing) == (3, 1)
    assert sorted(target.videos(MODEL, ids)) == sorted(ids[1:])


def test_an_index_that_does_not_answer_is_said(database: SqlDatabase) -> None:
    library = Library(database)
    library.add_family("sea", 1)
    target = FakeIndex()
    target.available = False
    with pytest.raises(IndexUnavailable):
        move_index(database, library.index, target, progress=nobody_looks)


def test_without_a_model_there_is_nothing_to_move(database: SqlDatabase) -> None:
    with pytest.raises(Conflict, match="no model is active"):
        move_index(database, FakeIndex(), FakeIndex(), progress=nobody_looks)
