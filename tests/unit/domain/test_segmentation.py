from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrec.domain.embedding import normalise
from vidrec.domain.models import Segment, TimeRange
from vidrec.domain.segmentation import (
    CHUNK_S,
    MAX_SEGMENT_S,
    chunks,
    segment_chunk,
    video_embedding,
)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (0.0, [(0.0, 600.0)]),
        (5.0, [(0.0, 5.0)]),
        (600.0, [(0.0, 600.0)]),
        (600.5, [(0.0, 600.0), (600.0, 600.5)]),
        (1500.0, [(0.0, 600.0), (600.0, 1200.0), (1200.0, 1500.0)]),
    ],
)
def test_chunks_end_at_absolute_marks(duration: float, expected: list[tuple[float, float]]) -> None:
    assert [(c.start_s, c.end_s) for c in chunks(duration)] == expected


def test_no_frames_no_segments() -> None:
    assert segment_chunk(np.empty(0), np.empty((0, 4), np.float32), TimeRange(0, 10)) == []


def test_one_frame_is_one_segment_over_the_whole_chunk() -> None:
    (only,) = segment_chunk(np.array([0.2]), normalise(np.ones((1, 4))), TimeRange(0, 0.4))
    assert only.time == TimeRange(0.0, 0.4)


def test_cuts_where_the_picture_changes() -> None:
    times = np.arange(0.5, 20, 1.0)
    embeddings = np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)
    first, second = segment_chunk(times, embeddings, TimeRange(0, 20))
    assert first.time == TimeRange(0.0, 10.0)
    assert second.time == TimeRange(10.0, 20.0)
    np.testing.assert_allclose(first.embedding, [1, 0])
    np.testing.assert_allclose(second.embedding, [0, 1])


def test_a_still_picture_is_cut_by_length_alone() -> None:
    times = np.arange(0, 120, 5.0)
    segments = segment_chunk(times, np.tile(normalise([1.0, 2.0]), (24, 1)), TimeRange(0, 120))
    assert len(segments) > 3
    assert all(s.time.end_s - s.time.start_s <= MAX_SEGMENT_S for s in segments)


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0.05, 10.0), min_size=1, max_size=80),
    start=st.sampled_from([0.0, CHUNK_S, 3 * CHUNK_S]),
    seed=st.integers(0, 2**16),
)
def test_segments_cover_the_chunk_without_gaps(gaps: list[float], start: float, seed: int) -> None:
    times = start + np.cumsum(gaps)
    chunk = TimeRange(start, float(times[-1]) + 1.0)
    embeddings = normalise(np.random.default_rng(seed).normal(size=(len(times), 8)))
    segments = segment_chunk(times, embeddings, chunk)
    edges = [(s.time.start_s, s.time.end_s) for s in segments]
    assert edges[0][0] == chunk.start_s
    assert edges[-1][1] == chunk.end_s
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    assert all(s.time.start_s < s.time.end_s for s in segments)
    assert [s.first for s in segments] == [0, *(s.stop for s in segments[:-1])]
    assert segments[-1].stop == len(times)
    for s in segments:
        assert np.linalg.norm(s.embedding) == pytest.approx(1.0, abs=1e-5)


def test_the_video_embedding_weighs_segments_by_length() -> None:
    def segment(number: int, start: float, end: float) -> Segment:
        return Segment(
            video_id="v", number=number, time=TimeRange(start, end), embedding=np.eye(2, dtype=np.float32)[number]
        )

    embedding = video_embedding([segment(0, 0, 30), segment(1, 30, 40)])
    np.testing.assert_allclose(embedding, normalise([3.0, 1.0]), atol=1e-6)
    np.testing.assert_allclose(video_embedding([segment(0, 0, 0), segment(1, 0, 0)]), normalise([1.0, 1.0]), atol=1e-6)
