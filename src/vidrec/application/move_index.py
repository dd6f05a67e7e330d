"""Taking a library's vectors to another vector index, without decoding anything again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vidrec.application.ports import Database, VectorIndex
from vidrec.domain.errors import Conflict
from vidrec.domain.models import ModelVersion, Video, VideoVector

VIDEOS_A_READ = 100


@dataclass(slots=True)
class Moved:
    """What became of the indexed videos."""

    videos: int = 0
    segments: int = 0
    missing: int = 0
    """Indexed as SQL says, but without vectors in the source: deleted meanwhile."""


def move_index(
    database: Database, source: VectorIndex, target: VectorIndex, *, progress: Callable[[int, int], None]
) -> Moved:
    """Copies the active model version's vectors of every indexed video; the source is left as it is. Safe to run again,
    also after it was cut short: rows are written under the same ids. `progress(done, total)` is called as it goes.
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
        _copy(model, ours, source, target, moved)
        progress(min(start + VIDEOS_A_READ, len(ids)), len(ids))
    target.flush(model)
    return moved


def _copy(model: ModelVersion, videos: Sequence[Video], source: VectorIndex, target: VectorIndex, moved: Moved) -> None:
    embeddings = source.videos(model, [video.id for video in videos])
    segments = source.segments(model, {video.id: video.segment_count for video in videos})
    for video in videos:
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
