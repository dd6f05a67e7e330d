"""Frames of the library's own videos, from the pictures that are kept of their segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from vidrec.application import pictures
from vidrec.application.ports import Database, MediaStore
from vidrec.domain.errors import InvalidInput, NotFound
from vidrec.domain.models import Frames

VIDEOS_A_READ = 200


def library_frames(
    database: Database, store: MediaStore, read_picture: Callable[[bytes], Frames], *, most: int
) -> Frames:
    """At most `most` frames (n, 224, 224, 3): of as many videos as there are, the first picture of segments that are
    spread over each. Pictures that were deleted meanwhile are left out. Of an empty library: no frames."""
    found = []
    for keys in _first_pictures(database, most):
        for key in keys:
            with suppress(NotFound, InvalidInput):
                found.append(read_picture(store.read(pictures.location(key))))
                break
    return np.concatenate(found) if found else np.zeros((0, 224, 224, 3), dtype=np.uint8)


def _first_pictures(database: Database, most: int) -> Iterator[tuple[str, ...]]:
    """For each chosen segment the keys that its first picture may have."""
    with database.snapshot() as uow:
        ids = list(uow.catalogue.indexed_ids())
    step = max(1, -(-len(ids) // most))
    chosen = ids[::step]
    each = max(1, most // max(1, len(chosen)))
    for start in range(0, len(chosen), VIDEOS_A_READ):
        with database.snapshot() as uow:
            videos = uow.catalogue.get(chosen[start : start + VIDEOS_A_READ])
        for video in videos.values():
            count = min(each, video.segment_count)
            for number in (int((i + 0.5) * video.segment_count / count) for i in range(count)):
                versioned = pictures.segment_key(video.id, str(video.indexed_model), number, 0)
                yield versioned, pictures.unversioned_segment_key(video.id, number, 0)
