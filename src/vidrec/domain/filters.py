"""Which videos a request is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vidrec.domain.models import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFilter:
    """Conditions that all must hold; those that are not set hold for every video."""

    category: str | None = None
    tags: frozenset[str] = frozenset()
    """At least one of these."""
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    """Both inclusive. A video of which the length is not known has length 0."""
    since: datetime | None = None
    """Uploaded or taken in then or later."""

    @property
    def is_open(self) -> bool:
        """Whether every video passes."""
        return self == EVERY_VIDEO

    @property
    def in_index(self) -> bool:
        """Whether the rows of the vector index hold all that it asks about."""
        return not self.tags and self.since is None

    def accepts(self, video: Video) -> bool:
        """Whether the video passes."""
        duration_s = video.media.duration_s if video.media else 0.0
        return (
            self.category in (None, video.category)
            and (not self.tags or not self.tags.isdisjoint(video.tags))
            and (self.min_duration_s is None or duration_s >= self.min_duration_s)
            and (self.max_duration_s is None or duration_s <= self.max_duration_s)
            and (self.since is None or video.created_at >= self.since)
        )


EVERY_VIDEO = VideoFilter()
