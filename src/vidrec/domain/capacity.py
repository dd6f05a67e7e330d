"""What a library of a given size takes: vectors, memory, storage, hours of encoding, database. Every line says how it
was computed, and where its constants come from. `docs/scale.md` shows it; tests compare it with what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vidrec.domain.sampling import MIN_SAMPLES, interval_s
from vidrec.domain.segmentation import MAX_SEGMENT_S, MIN_SEGMENT_S

TOLERANCE = 2.0
"""Libraries differ: what was measured lies within this factor of what is computed, either way."""
SEGMENTS_PER_MINUTE = 6.0
"""Measured: real clips and the demo library (tests/e2e); by rule between 60 / MAX_SEGMENT_S and 60 / MIN_SEGMENT_S."""
PICTURES_PER_SEGMENT = 3
"""Most that a segment shows (application/partials.py)."""
PICTURE_BYTES = 10_000
"""Measured: the JPEGs of real clips (tests/e2e/test_real_clips.py)."""
FLOAT_BYTES = 4
LINK_BYTES = 4
"""hnswlib, which Milvus's knowhere builds on: a link is the number of a vector."""
ROW_BYTES = 100
"""Of a vector's other fields, by the schema: key of up to 43 characters, video id of 36, number and two times."""
DECODE_CORE_S_PER_MINUTE = 0.067
"""Measured: docs/benchmarks.md, ingest, H.264 with a keyframe every 5 s: 6.7 s of CPU for 100 minutes. VP9: 0.182."""
CORE_S_PER_FRAME = 2 / 343
"""Measured: docs/benchmarks.md, encoder: resnet18 int8, 343 images a second on 2 cores."""
BUSY_SHARE = 0.75
"""Measured: docs/benchmarks.md, ingest, bound / wall: the rest is hashing, pictures, vectors, SQL."""
GPU_FRAMES_PER_S = 2000.0
"""Assumed, not measured: take what `make bench-gpu` measures on your card."""
VIDEO_ROW_BYTES = 1_800
"""Measured, as all below, by tests/contract/test_capacity.py on both databases: tables and indexes, a job for each."""
INTERACTION_BYTES = 420
"""With ids of 36 characters for user and event; short ones take 280."""
PROFILE_BYTES = 12_000
"""Two interests of 512 dimensions, of ten videos each."""
RECORD_BYTES = 4_000
"""Of 200 candidates, compressed: their ids do not compress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A library to be."""

    videos: int
    minutes: float
    """Of one video, on average."""
    dimensions: tuple[int, ...] = (512, 2048)
    """Of the embeddings: a line for each."""
    hnsw_m: int = 16
    """VIDREC_MILVUS_HNSW_M."""
    users: int = 0
    interactions_per_user: int = 0
    requests_per_day: int = 0
    """Of `/recommend`."""
    record_days: float = 30.0
    """VIDREC_RECOMMENDATION_DAYS."""
    segments_per_minute: float = SEGMENTS_PER_MINUTE
    gpu_frames_per_s: float = GPU_FRAMES_PER_S


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    name: str
    value: float
    unit: str
    """`` for a number of things, `bytes` or `hours`."""
    formula: str
    """How the value follows from the plan, with its numbers."""
    source: str
    """Where the constants come from."""


def segments_of(minutes: float, per_minute: float = SEGMENTS_PER_MINUTE) -> float:
    """Segments of one video: one at least."""
    return max(1.0, minutes * per_minute)


def frames_of(minutes: float) -> int:
    """Frames that are encoded of one video, where keyframes let every slot have one: see `domain.sampling`."""
    duration_s = 60 * minutes
    return max(MIN_SAMPLES, math.ceil(duration_s / interval_s(duration_s)))


def graph_bytes(vectors: float, dimension: int, m: int) -> float:
    """Memory of an HNSW graph over vectors of float32 (Malkov & Yashunin 2016, 4.2.3): the vector, 2M links in the
    lowest layer, and M in each layer above, of which a vector has 1/ln(M) on average."""
    links = 2 * m + m / math.log(max(m, 2))
    return vectors * (dimension * FLOAT_BYTES + links * LINK_BYTES)


def database_bytes(videos: int, interactions: int = 0, users: int = 0, records: float = 0.0) -> float:
    """SQL with its indexes."""
    return videos * VIDEO_ROW_BYTES + interactions * INTERACTION_BYTES + users * PROFILE_BYTES + records * RECORD_BYTES


def capacity(plan: Plan) -> Sequence[Line]:
    """The table, in the order in which it is shown."""
    return [*_vectors(plan), *_memory(plan), _pictures(plan), *_hours(plan), _database(plan)]


def _vectors(plan: Plan) -> list[Line]:
    per_video = segments_of(plan.minutes, plan.segments_per_minute)
    segments = plan.videos * per_video
    most = plan.videos * segments_of(plan.minutes, 60 / MIN_SEGMENT_S)
    times = f"{plan.videos:,} videos x {plan.minutes:g} min"
    measured = f"measured, tests/e2e; by rule {60 / MAX_SEGMENT_S:g} to {60 / MIN_SEGMENT_S:g} a minute"
    return [
        Line("segments", segments, "", f"{times} x {plan.segments_per_minute:g}, at least 1 a video", measured),
        Line("segments at most", most, "", f"{times} x 60 / {MIN_SEGMENT_S:g} s", "rule: MIN_SEGMENT_S"),
        Line("vectors", segments + plan.videos, "", f"{segments:,.0f} segments + {plan.videos:,} videos", "rule"),
    ]


def _memory(plan: Plan) -> list[Line]:
    m = plan.hnsw_m
    segments = plan.videos * segments_of(plan.minutes, plan.segments_per_minute)
    lines: list[Line] = []
    for d in plan.dimensions:
        graph = f"{plan.videos:,} x ({d} x 4 + (2 x {m} + {m} / ln {m}) x 4) bytes"
        flat = f"{segments:,.0f} x ({d} x 4 + {ROW_BYTES}) bytes"
        held = segments * (d * FLOAT_BYTES + ROW_BYTES)
        lines += [
            Line(f"index of videos, {d}", graph_bytes(plan.videos, d, m), "bytes", graph, "HNSW, as hnswlib holds it"),
            Line(f"segments in memory, {d}", held, "bytes", flat, "rule: no graph, they are read by key"),
        ]
    return lines


def _pictures(plan: Plan) -> Line:
    segments = plan.videos * segments_of(plan.minutes, plan.segments_per_minute)
    count = segments * PICTURES_PER_SEGMENT + plan.videos
    formula = (
        f"({segments:,.0f} segments x {PICTURES_PER_SEGMENT} + {plan.videos:,} thumbnails) x {PICTURE_BYTES:,} bytes"
    )
    return Line("pictures in the object store", count * PICTURE_BYTES, "bytes", formula, "measured, tests/e2e")


def _hours(plan: Plan) -> list[Line]:
    frames = plan.videos * frames_of(plan.minutes)
    minutes = plan.videos * plan.minutes
    decode = minutes * DECODE_CORE_S_PER_MINUTE
    encode = frames * CORE_S_PER_FRAME
    slot = interval_s(60 * plan.minutes)
    per_frame = f"{CORE_S_PER_FRAME:.4f}"
    return [
        Line(
            "frames to encode", frames, "", f"{plan.videos:,} x {60 * plan.minutes:g} s / {slot:g} s", "rule: sampling"
        ),
        Line(
            "CPU-hours of the first encode, no GPU",
            (decode + encode) / BUSY_SHARE / 3600,
            "hours",
            f"({minutes:,.0f} min x {DECODE_CORE_S_PER_MINUTE} s + {frames:,} x {per_frame} s) / {BUSY_SHARE}",
            "measured, docs/benchmarks.md: H.264, resnet18 int8, one core",
        ),
        Line(
            "CPU-hours beside a GPU",
            decode / BUSY_SHARE / 3600,
            "hours",
            f"{minutes:,.0f} min x {DECODE_CORE_S_PER_MINUTE} s / {BUSY_SHARE}",
            "measured, docs/benchmarks.md",
        ),
        Line(
            "GPU-hours of the first encode",
            frames / plan.gpu_frames_per_s / 3600,
            "hours",
            f"{frames:,} / {plan.gpu_frames_per_s:,.0f} a second",
            "assumed: `make bench-gpu` measures your card",
        ),
    ]


def _database(plan: Plan) -> Line:
    interactions = plan.users * plan.interactions_per_user
    records = plan.requests_per_day * plan.record_days
    formula = (
        f"{plan.videos:,} videos x {VIDEO_ROW_BYTES:,} + {interactions:,} interactions x {INTERACTION_BYTES}"
        f" + {plan.users:,} profiles x {PROFILE_BYTES:,} + {records:,.0f} records x {RECORD_BYTES:,} bytes"
    )
    total = database_bytes(plan.videos, interactions, plan.users, records)
    return Line("database", total, "bytes", formula, "measured, tests/contract/test_capacity.py")
