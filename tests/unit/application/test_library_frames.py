"""Frames of a library, from the pictures of its segments."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.store import FakeStore
from tests.library import MODEL, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application import pictures
from vidrec.application.library_frames import library_frames
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Frames

SEGMENTS = 3
"""Of each video of a family."""


def read_picture(data: bytes) -> Frames:
    if data == b"damaged":
        raise InvalidInput("file is damaged", field="file")
    return np.full((1, 224, 224, 3), data[0], dtype=np.uint8)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def filled(database: SqlDatabase, store: FakeStore, count: int) -> list[str]:
    """Videos whose segments show their number and that of the video."""
    ids = Library(database).add_family("sea", count)
    for i, video_id in enumerate(ids):
        for number in range(SEGMENTS):
            store.put(pictures.segment_key(video_id, MODEL.version, number, 0), bytes([10 * i + number]))
    return ids


def shown(frames: Frames) -> set[int]:
    return set(frames[:, 0, 0, 0].tolist())


def test_every_segment_is_there_where_there_is_room(database: SqlDatabase, store: FakeStore) -> None:
    filled(database, store, 4)
    frames = library_frames(database, store, read_picture, most=100)
    assert shown(frames) == {10 * i + number for i in range(4) for number in range(SEGMENTS)}


def test_as_many_videos_as_there_are_come_first(database: SqlDatabase, store: FakeStore) -> None:
    filled(database, store, 4)
    assert shown(library_frames(database, store, read_picture, most=4)) == {1, 11, 21, 31}
    assert len(library_frames(database, store, read_picture, most=2)) == 2
    assert len(library_frames(database, store, read_picture, most=3)) <= 3


def test_what_is_gone_or_damaged_is_left_out(database: SqlDatabase, store: FakeStore) -> None:
    first, second, *_ = filled(database, store, 3)
    store.delete(pictures.prefix(first))
    store.put(pictures.segment_key(second, MODEL.version, 0, 0), b"damaged")
    assert shown(library_frames(database, store, read_picture, most=100)) == {11, 12, 20, 21, 22}


def test_an_empty_library_has_none(database: SqlDatabase, store: FakeStore) -> None:
    assert library_frames(database, store, read_picture, most=10).shape == (0, 224, 224, 3)
