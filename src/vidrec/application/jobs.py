"""The kinds of work that wait in the queue."""

from __future__ import annotations

from vidrec.application.carried import with_carried
from vidrec.domain.models import NewJob

INDEX_VIDEO = "index_video"
"""Look into a video and write its vectors. The job's `video_id` names it."""
ERASE_VIDEO = "erase_video"
"""Remove all that is kept of a deleted video. The job's `video_id` names it; payload: `receipt_id`."""

RENDER_VIDEO = "render_video"
"""Make a copy that browsers play, where the original is none. The job's `video_id` names it."""
_AFTER_ALL_ELSE = -10


def index_job(video_id: str) -> NewJob:
    """The job that indexes a video; nothing is added where one waits or runs already."""
    return NewJob(kind=INDEX_VIDEO, payload=with_carried({}), video_id=video_id, dedupe_key=f"{INDEX_VIDEO}:{video_id}")


def render_job(video_id: str) -> NewJob:
    """The job that makes the copy; nothing is added where one waits or runs already."""
    return NewJob(
        kind=RENDER_VIDEO,
        payload=with_carried({}),
        video_id=video_id,
        priority=_AFTER_ALL_ELSE,
        dedupe_key=f"{RENDER_VIDEO}:{video_id}",
    )
