"""Taking a library's vectors to another vector index, without decoding anything again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidrec.application.ports import Database, VectorIndex
from vidrec.domain.errors import Conflict
from vidrec.domain.models import ModelVersion, Video, VideoVector

VIDEOS_A_READ = 100


@dataclass(slots=True)
class Moved:
    """What became of the indexed videos."""

    videos: int = 0
    segments: int = 0
    already: int = 0
    """There already, by an earlier run that was cut short."""
    missing: int = 0
    """Indexed as SQL says, but without vectors in the source: deleted meanwhile."""


def move_index(
    database: Database,
    source: VectorIndex,
    target: VectorIndex,
    *,
    everything: bool = False,
    progress: Callable[[int, int], None],
) -> Moved:
    """Copies the active model version's vectors of every indexed video; the source is left as it is. Run again after it
    was cut short, it carries on: a video whose own row is there, written last, is left out unless `everything` is asked
    for. Rows are written under the same ids, so that nothing doubles. `progress(done, total)` is called as it goes.
    Conflict while no model is active; IndexUnavailable where either index does not answer."""
    with database.snapshot() as uow:
        model = uow.models.active()
        ids = uow.catalogue.indexed_ids()
    if model is None:
        raise Conflict("no model is active yet: there is nothing to move")
    target.create(model)
    moved = Moved()
    for start in range(0, len(ids), VIDEOS_A_READ):
        with database.snapshot() as uow:
            videos = uow.catalogue.get(ids[start : start + VIDEOS_A_READ])
        ours = [video for video in videos.values() if video.indexed_model == model.version]
        _copy(model, ours, source, target, moved, everything=everything)
        progress(min(start + VIDEOS_A_READ, len(ids)), len(ids))
    target.flush(model)
    return moved


def _copy(
    model: ModelVersion,
    videos: Sequence[Video],
    source: VectorIndex,
    target: VectorIndex,
    moved: Moved,
    *,
    everything: bool,
) -> None:
    ids = [video.id for video in videos]
    embeddings = source.videos(model, ids, fresh=True)
    held = {} if everything else target.videos(model, ids, fresh=True)
    there = {v for v, embedding in held.items() if v in embeddings and np.array_equal(embedding, embeddings[v])}
    moved.already += len(there)
    left = [video for video in videos if video.id not in there]
    segments = source.segments(model, {video.id: video.segment_count for video in left}, fresh=True) if left else {}
    for video in left:
        own = segments.get(video.id, ())
        if video.id not in embeddings or len(own) != video.segment_count:
            moved.missing += 1
            continue
        row = VideoVector(
            video_id=video.id,
            category=video.category,
            duration_s=video.media.duration_s if video.media else 0.0,
            embedding=embeddings[video.id],
        )
        target.upsert(model, row, own)
        moved.videos += 1
        moved.segments += len(own)
