"""Where the pictures of a video are kept in the media store. Segments are cut by their embeddings, so that their
pictures are those of a model version."""

from __future__ import annotations


def prefix(video_id: str) -> str:
    """What the keys of all pictures of a video start with."""
    return f"pictures/{video_id}/"


def thumbnail_key(video_id: str) -> str:
    """The one picture that stands for the video."""
    return f"{prefix(video_id)}thumbnail.jpg"


def version_prefix(video_id: str, model_version: str) -> str:
    """What the keys of the segments' pictures start with."""
    return f"{prefix(video_id)}{model_version}/"


def segment_prefix(video_id: str, model_version: str, number: int) -> str:
    """What the keys of a segment's pictures start with."""
    return f"{version_prefix(video_id, model_version)}{number:06d}-"


def segment_key(video_id: str, model_version: str, number: int, position: int) -> str:
    """A frame of a segment; `position` counts the segment's pictures from 0."""
    return f"{segment_prefix(video_id, model_version, number)}{position}.jpg"


def unversioned_segment_key(video_id: str, number: int, position: int) -> str:
    """Where it was kept before pictures were those of a model version."""
    return f"{prefix(video_id)}{number:06d}-{position}.jpg"


def location(key: str) -> str:
    """The media store's location of a key."""
    return f"media:///{key}"
