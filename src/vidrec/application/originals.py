"""Where the originals that were uploaded are kept in the media store."""

from __future__ import annotations

ORIGINALS = "originals/"
"""What all their keys start with."""


def prefix(video_id: str) -> str:
    """What the key of a video's original starts with."""
    return f"{ORIGINALS}{video_id}/"


def key(video_id: str, suffix: str) -> str:
    """The key of a video's original; the suffix with its dot."""
    return f"{prefix(video_id)}original{suffix}"
