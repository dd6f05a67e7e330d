"""From sampled frames to segments, and from segments to one embedding per video.

A video is cut at absolute 10-minute marks first (`CHUNK_S`), and each chunk is segmented by itself, so that a video
processed by several workers gets exactly the segments that one worker would have given it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrec.domain.embedding import normalise, weighted_mean
from vidrec.domain.models import Embedding, Embeddings, Segment, TimeRange

CHUNK_S = 600.0
"""Every multiple of this is a segment boundary, and sampling restarts there."""
MIN_SEGMENT_S = 3.0
MAX_SEGMENT_S = 30.0
CUT_DEVIATIONS = 1.5
"""A cut is where consecutive frames differ by more than this many standard deviations above the chunk's mean."""
REVISION = "segments-1"
"""Part of the model version: change it with anything that changes which segments a video gets."""


def chunks(duration_s: float) -> Iterator[TimeRange]:
    """The chunks of a video, in order; at least one, also for a video whose length is 0 or unknown."""
    start = 0.0
    yield TimeRange(0.0, min(CHUNK_S, duration_s) if duration_s > 0 else CHUNK_S)
    while (start := start + CHUNK_S) < duration_s:
        yield TimeRange(start, min(start + CHUNK_S, duration_s))


def ranges(duration_s: float, length_s: float) -> list[TimeRange]:
    """The ranges that a video is split into: whole chunks each, of `length_s` rounded up to them; one range for a video
    that is not longer than that, for a length of 0 (never split) and for a video of unknown length."""
    step_s = math.ceil(length_s / CHUNK_S) * CHUNK_S
    if not 0 < max(step_s, length_s) < duration_s:
        return [TimeRange(0.0, duration_s)]
    count = math.ceil(duration_s / step_s)
    return [TimeRange(i * step_s, min((i + 1) * step_s, duration_s)) for i in range(count)]


@dataclass(frozen=True, slots=True)
class Cut:
    """One segment before it has a number: which frames, which seconds, which embedding."""

    first: int
    """Index of its first frame within the chunk."""
    stop: int
    """Index after its last frame."""
    time: TimeRange
    embedding: Embedding


def segment_chunk(times_s: npt.NDArray[np.float64], embeddings: Embeddings, chunk: TimeRange) -> Sequence[Cut]:
    """Cuts one chunk where the picture changes.

    `times_s` (n,) strictly increasing and within the chunk, `embeddings` (n, d). Boundaries lie halfway between frames;
    the first segment starts with the chunk and the last one ends with it, so the segments cover it without gaps.
    Segments are between MIN_SEGMENT_S and MAX_SEGMENT_S long where the samples allow. Empty for no frames.
    """
    n = len(times_s)
    if n == 0:
        return []
    starts = [0, *_cut_points(times_s, embeddings, chunk)]
    edges = [chunk.start_s, *((times_s[i - 1] + times_s[i]) / 2 for i in starts[1:]), chunk.end_s]
    stops = [*starts[1:], n]
    return [
        Cut(first, stop, TimeRange(float(edges[k]), float(edges[k + 1])), weighted_mean(embeddings[first:stop]))
        for k, (first, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def _cut_points(times_s: npt.NDArray[np.float64], embeddings: Embeddings, chunk: TimeRange) -> list[int]:
    """Indices of the frames that begin a segment, the first frame left out."""
    if len(times_s) < 2:
        return []
    distance = 1.0 - np.einsum("ij,ij->i", embeddings[:-1], embeddings[1:])
    threshold = float(distance.mean() + CUT_DEVIATIONS * distance.std())
    boundary = (times_s[:-1] + times_s[1:]) / 2
    points: list[int] = []
    begin = chunk.start_s
    for i in range(1, len(times_s)):
        at = float(boundary[i - 1])
        next_at = float(boundary[i]) if i < len(boundary) else chunk.end_s
        changed = distance[i - 1] > threshold and at - begin >= MIN_SEGMENT_S and chunk.end_s - at >= MIN_SEGMENT_S
        if changed or next_at - begin > MAX_SEGMENT_S:
            points.append(i)
            begin = at
    return points


def video_embedding(segments: Sequence[Segment]) -> Embedding:
    """The mean of the segments' embeddings weighted by their length, normalised, shape (d,)."""
    lengths = np.array([s.time.end_s - s.time.start_s for s in segments], dtype=np.float32)
    if float(lengths.sum()) <= 0:
        lengths = np.ones(len(segments), dtype=np.float32)
    return normalise(weighted_mean(np.stack([s.embedding for s in segments]), lengths))
