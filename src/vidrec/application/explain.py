"""Why a video is shown: the pair of moments, one of a watched video and one of the shown one, that are most alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidrec.domain.embedding import most_alike
from vidrec.domain.models import Candidate, Embedding, Segment, TimeRange, Video


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The reason for one item."""

    type: str
    """`similar`, `popular` or `fresh`."""
    watched: Video | None = None
    """The watched (or asked about) video it is like; None for a picture that was searched with."""
    watched_segment: int | None = None
    """Number of the watched video's segment that is `watched_moment`."""
    watched_moment: TimeRange | None = None
    segment: int | None = None
    """Number of the item's own segment that is `moment`."""
    moment: TimeRange | None = None
    similarity: float | None = None
    """Cosine of the two moments, -1 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One video of an answer."""

    video: Video
    score: float
    why: Why


def why_like_watched(
    candidate: Candidate,
    watched: Sequence[Video],
    segments: Mapping[str, Sequence[Segment]],
) -> Why:
    """The most alike pair over all segments of the watched videos and of the candidate. Without moments where the
    segments of either side are not at hand; ties go to the first watched video and the earliest moments."""
    own = segments.get(candidate.video_id, ())
    sides = [(video, segment) for video in watched for segment in segments.get(video.id, ())]
    if not own or not sides:
        return Why(type=candidate.source, watched=watched[0] if watched else None)
    i, j, cosine = most_alike(_stack([s for _, s in sides]), _stack(own))
    video, segment = sides[i]
    return Why(
        type=candidate.source,
        watched=video,
        watched_segment=segment.number,
        watched_moment=segment.time,
        segment=own[j].number,
        moment=own[j].time,
        similarity=cosine,
    )


def why_like_picture(embedding: Embedding, segments: Sequence[Segment]) -> Why:
    """The moment that is most like a picture."""
    if not segments:
        return Why(type="similar")
    _, j, cosine = most_alike(embedding[np.newaxis], _stack(segments))
    return Why(type="similar", segment=segments[j].number, moment=segments[j].time, similarity=cosine)


def _stack(segments: Sequence[Segment]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.stack([s.embedding for s in segments])
