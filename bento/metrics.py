"""What the encoder counts."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

FRAMES = Counter("vidrec_encoder_frames", "Frames encoded.", ["route"])
REJECTED = Counter("vidrec_encoder_rejected", "Requests refused before inference.", ["reason"])
BATCH_FRAMES = Histogram("vidrec_encoder_batch_frames", "Frames of one inference.", buckets=(1, 2, 4, 8, 16, 32, 64))
WAIT_SECONDS = Histogram(
    "vidrec_encoder_wait_seconds",
    "Time from a request's arrival to the start of its inference.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
INFERENCE_SECONDS = Histogram(
    "vidrec_encoder_inference_seconds",
    "Time of one inference.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
WAITING = Gauge("vidrec_encoder_waiting_frames", "Frames that wait or are being encoded.", multiprocess_mode="livesum")
INFO = Gauge(
    "vidrec_encoder_info",
    "1, with what is served as labels.",
    ["model_version", "provider"],
    multiprocess_mode="liveall",
)


def exposition() -> tuple[bytes, str]:
    """The metrics page and its content type."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # BentoML sets it for its workers
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
