"""Looking whether anything is left of a video or a user that was erased: into every store, by reads that see all that
was acknowledged before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from vidrec.application import originals, partials, pictures, render_video
from vidrec.application.jobs import ERASE_VIDEO
from vidrec.application.ports import JobQueue, Look, MediaStore, UnitOfWork, VectorIndex
from vidrec.domain.models import ModelVersion

PREFIXES = (originals.prefix, render_video.prefix, pictures.prefix, partials.prefix)
"""Of everything that the media store keeps of a video."""


def look_for_vectors(
    index: VectorIndex, models: Sequence[ModelVersion], video_ids: Sequence[str]
) -> Mapping[str, list[Look]]:
    """Vectors of these videos, in the collections of each model version: the active one, one that is being prepared,
    and those that are kept. IndexUnavailable."""
    looks: dict[str, list[Look]] = {video_id: [] for video_id in video_ids}
    for model in models:
        held = index.held(model, video_ids)
        for video_id in video_ids:
            videos, segments = held.get(video_id, (0, 0))
            looks[video_id] += [
                Look("vectors", model.videos_collection, videos),
                Look("vectors", model.segments_collection, segments),
            ]
    return looks


def look_for_objects(store: MediaStore, video_id: str) -> list[Look]:
    """Originals, copies, pictures and partial results of a video. StoreUnavailable."""
    return [Look("objects", prefix(video_id), store.count(prefix(video_id))) for prefix in PREFIXES]


def look_for_rows(uow: UnitOfWork, queue: JobQueue, video_ids: Sequence[str]) -> Mapping[str, list[Look]]:
    """Rows that tell of these videos, and jobs but for erasures."""
    traces = uow.traces.of_videos(video_ids)
    looks = {v: [Look("rows", table, found) for table, found in traces[v].items()] for v in video_ids}
    for video_id in video_ids:
        jobs = sum(job.kind != ERASE_VIDEO for job in queue.live(uow, video_id))
        looks[video_id].append(Look("jobs", "queued or running", jobs))
    return looks


def look_for_user(uow: UnitOfWork, user_id: str, *, until: datetime | None = None) -> list[Look]:
    """Rows that tell of a user; `until` as in the Traces port."""
    return [Look("rows", table, found) for table, found in uow.traces.of_user(user_id, until=until).items()]
