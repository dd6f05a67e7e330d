"""The kinds of work that wait in the queue."""

from __future__ import annotations

from vidrec.application.carried import with_carried
from vidrec.domain.models import NewJob

INDEX_VIDEO = "index_video"
"""Look into a video and write its vectors. The job's `video_id` names it; payload: `model_version`, without which it is
the active one. A long video is split: then this only plans."""
INDEX_RANGE = "index_range"
"""Encode one time range of a split video. Payload: `model_version`, `number`."""
FOLD_VIDEO = "fold_video"
"""Write the vectors of a split video of which all ranges are encoded. Payload: `model_version`."""
CLEAR_PARTIALS = "clear_partials"
"""Remove what was kept of the ranges of a video. Payload: `model_version`."""
ERASE_VIDEO = "erase_video"
"""Remove all that is kept of a deleted video. The job's `video_id` names it; payload: `receipt_id`."""

RENDER_VIDEO = "render_video"
"""Make a copy that browsers play, where the original is none. The job's `video_id` names it."""
BESIDE = -5
"""Priority of indexing for a model version beside the one that requests are answered with: after what was uploaded."""
_AFTER_ALL_ELSE = -10


def index_job(video_id: str, model_version: str | None = None, *, priority: int = 0) -> NewJob:
    """The job that indexes a video; nothing is added where one for this model version waits or runs already."""
    if model_version is None:
        return NewJob(
            kind=INDEX_VIDEO,
            payload=with_carried({}),
            video_id=video_id,
            priority=priority,
            dedupe_key=f"{INDEX_VIDEO}:{video_id}",
        )
    return _job(INDEX_VIDEO, video_id, model_version, priority)


def range_job(video_id: str, model_version: str, number: int, *, priority: int) -> NewJob:
    """The job of one range; nothing is added where it waits or runs already."""
    return _job(INDEX_RANGE, video_id, model_version, priority, number=number)


def fold_job(video_id: str, model_version: str, *, priority: int) -> NewJob:
    """The job that folds the ranges, before other jobs of its priority; nothing is added where it waits or runs
    already."""
    return _job(FOLD_VIDEO, video_id, model_version, priority + 1)


def clear_job(video_id: str, model_version: str) -> NewJob:
    """The job that removes what was kept of the ranges."""
    return _job(CLEAR_PARTIALS, video_id, model_version, 0)


def render_job(video_id: str) -> NewJob:
    """The job that makes the copy; nothing is added where one waits or runs already."""
    return NewJob(
        kind=RENDER_VIDEO,
        payload=with_carried({}),
        video_id=video_id,
        priority=_AFTER_ALL_ELSE,
        dedupe_key=f"{RENDER_VIDEO}:{video_id}",
    )


def _job(kind: str, video_id: str, model_version: str, priority: int, **more: int) -> NewJob:
    return NewJob(
        kind=kind,
        payload=with_carried({"model_version": model_version, **more}),
        video_id=video_id,
        priority=priority,
        dedupe_key=":".join([kind, video_id, model_version, *map(str, more.values())]),
    )
