"""What the suites of the SQL store share."""

from __future__ import annotations

import itertools

from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import MediaInfo, NewVideo, Video

MEDIA = MediaInfo(
    container="mp4", video_codec="h264", audio_codec=None, width=1280, height=720, duration_s=12.5
)  # fmt: skip
_numbers = itertools.count()


def new_video(**known: object) -> NewVideo:
    """A new video that differs from all before it in whatever is not given."""
    n = next(_numbers)
    values: dict[str, object] = {
        "location": f"file:///videos/{n}.mp4",
        "filename": f"{n}.mp4",
        "size_bytes": 1000 + n,
        "content_sha256": f"{n:064x}",
    }
    return NewVideo(**{**values, **known})  # type: ignore[arg-type]


def add(database: SqlDatabase, **known: object) -> Video:
    """A video that is queued."""
    with database.transaction() as uow:
        return uow.catalogue.add(new_video(**known))


def add_indexed(database: SqlDatabase, **known: object) -> Video:
    """A video that can be recommended."""
    with database.transaction() as uow:
        video = uow.catalogue.add(new_video(**known))
        uow.catalogue.mark_indexed(video.id, model_version="m1", media=MEDIA, segment_count=3)
        return uow.catalogue.get([video.id])[video.id]
