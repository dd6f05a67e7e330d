"""The kinds of work that wait in the queue."""

from __future__ import annotations

INDEX_VIDEO = "index_video"
"""Look into a video and write its vectors. The job's `video_id` names it."""
ERASE_VIDEO = "erase_video"
"""Remove all that is kept of a deleted video. The job's `video_id` names it; payload: `receipt_id`."""
