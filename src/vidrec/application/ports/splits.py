"""Long videos that several workers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vidrec.domain.models import MediaInfo, TimeRange


@dataclass(frozen=True, slots=True)
class SplitRange:
    """One time range of a split video."""

    number: int
    """From 0, in order of time."""
    time: TimeRange
    job_id: str
    """The job that does it."""
    finished: bool


class Splits(Protocol):
    """Which videos are split under which model version, and how far their ranges are."""

    def begin(
        self,
        video_id: str,
        model_version: str,
        media: MediaInfo,
        ranges: Sequence[TimeRange],
        job_ids: Sequence[str],
    ) -> None:
        """Splits the video, in place of a split that is there. `job_ids[i]` does `ranges[i]`."""
        ...

    def media(self, video_id: str, model_version: str) -> MediaInfo | None:
        """What probing said when the video was split; None where it is not split."""
        ...

    def ranges(self, video_id: str, model_version: str) -> Sequence[SplitRange]:
        """In order of time; empty where the video is not split."""
        ...

    def note(self, video_id: str, model_version: str, number: int, decoded_s: float) -> None:
        """How many seconds of a range were decoded; nothing where there is no such range."""
        ...

    def finish(self, video_id: str, model_version: str, number: int) -> int | None:
        """Marks a range finished and answers how many are left; None where there is no such range. Of transactions that
        finish ranges of one video at the same time, one waits for the other: exactly one sees that none is left."""
        ...

    def end(self, video_id: str, model_version: str) -> Sequence[str]:
        """Forgets the split; answers the job ids of ranges that were not finished."""
        ...

    def clear(self, video_id: str) -> None:
        """Forgets the video's splits under every model version."""
        ...
