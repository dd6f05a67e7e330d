"""A long video on four workers and all cores against the whole pipeline on one core.

python -m bench.split [--minutes 120] [--rounds 3] [--no-report]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import report
from bench.decode import CLIPS, clip
from bench.service import running_encoder
from tests.clips import ffmpeg
from tests.servers import milvus_lite, running
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.ingest import Ingest, find_files
from vidrec.domain.models import ModelVersion, Segment
from vidrec.model.default import ensure_default_model
from vidrec.model.manifest import load_model_dir, to_model_version

WORKERS = 4
PIECE_MINUTES = 10
ACCEPT, AIM = 0.8, 0.9
LEAST_COSINE = 0.9999
Segments = Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Run:
    """One ingest of the video: from its start to the video indexed."""

    wall_s: float
    cpu_s: float
    """Of all processes."""
    segments: Segments


def main() -> None:
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    path = film(options.minutes)
    shared: list[Run] = []
    alone: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        model = ensure_default_model(Path(folder) / "models", print)
        for _ in range(options.rounds):
            shared.append(measure(path, model, cores, workers=WORKERS, split_s=600))
            alone.append(measure(path, model, cores[:1], workers=1, split_s=0))
            print(f"{len(cores)} cores: {_told(shared[-1:])}, one: {_told(alone[-1:])}", flush=True)
    split = shared[-1].segments
    least = _check_equal(split, alone[-1].segments)
    speed_up = statistics.median(a.wall_s / s.wall_s for a, s in zip(alone, shared, strict=True))
    told = (
        f"## A long video\n\n{options.minutes} minutes of 720p H.264, untrained ResNet-18 int8: from `vidrec ingest` "
        f"to indexed. {WORKERS} workers, encoder and Milvus Lite on {len(cores)} cores, the video split into ranges of "
        "ten minutes, against one worker, encoder and Milvus Lite pinned to one core, the video in one piece; in "
        f"turns, median of {options.rounds}. The segments of both are the same ({len(split)}, "
        f"least cosine {least:.6f}).\n\n"
    )
    row = [_told(shared), _told(alone), f"{speed_up:.2f}x", report.verdict(speed_up / len(cores), ACCEPT, AIM)]
    text = told + report.table(["all cores (CPU time)", "one core (CPU time)", "speed-up", "speed-up / cores"], [row])
    if options.no_report:
        print(text)
    else:
        report.write("split", text)


def film(minutes: int) -> Path:
    """So many minutes of 720p with a keyframe every 5 seconds. Made once."""
    path = CLIPS / f"film-{minutes}.mp4"
    if not path.exists():
        loops = ("-stream_loop", str(-(-minutes // PIECE_MINUTES) - 1))
        made = path.with_stem(f"{path.stem}-made")
        ffmpeg(*loops, "-i", clip("H.264", 5), "-t", str(60 * minutes), "-c", "copy", made)
        made.rename(path)
        os.sync()  # writing it back is not part of what is measured
    return path


def measure(path: Path, model: Path, cores: Sequence[int], *, workers: int, split_s: int) -> Run:
    """Seconds from the start of the ingest to the video indexed, on these cores, and its segments."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # what is started from here on inherits it
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            running_encoder(model) as encoder,
            running(milvus_lite(Path(folder) / "vectors")) as milvus,
        ):
            return _ingest(Path(folder), path, model, encoder, milvus.uri, workers, split_s)
    finally:
        os.sched_setaffinity(0, before)


def _ingest(data: Path, path: Path, model: Path, encoder: str, milvus: str, workers: int, split_s: int) -> Run:
    url = f"sqlite:///{data / 'vidrec.db'}"
    migrate(url)
    version = to_model_version(load_model_dir(model))
    with closing(SqlDatabase(url)) as database, closing(MilvusIndex(milvus, timeout_s=30.0)) as index:
        with database.transaction() as uow:
            uow.models.register(version)
            uow.models.activate(version.version)
        index.create(version)
        ingest = Ingest(database, SqliteQueue(database))
        with _workers(data, encoder, milvus, workers, split_s):
            began, used_s = time.perf_counter(), _used_s()
            intake = ingest.add(find_files([path]))
            last = list(ingest.follow(intake.queued, every_s=0.02))[-1]
            taken_s, used_s = time.perf_counter() - began, _used_s() - used_s
        if last.indexed != 1:
            raise RuntimeError(f"it was not indexed: {last.failed}")
        return Run(taken_s, used_s, _segments(database, index, version, intake.queued[0]))


def _used_s() -> float:
    """CPU time of this process, of those below it, and of those that ended below them."""
    below = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in (below, *below.children(recursive=True)))


def _told(runs: Sequence[Run]) -> str:
    return f"{statistics.median(r.wall_s for r in runs):.1f} s ({statistics.median(r.cpu_s for r in runs):.1f} s)"


def _segments(database: SqlDatabase, index: MilvusIndex, version: ModelVersion, video_id: str) -> list[Segment]:
    with database.snapshot() as uow:
        count = uow.catalogue.get([video_id])[video_id].segment_count
    return list(index.segments(version, {video_id: count})[video_id])


@contextmanager
def _workers(data: Path, encoder: str, milvus: str, count: int, split_s: int) -> Iterator[None]:
    """Workers that look for work when the block begins."""
    environment = {
        "VIDREC_ENCODER_URLS": f'["{encoder}"]',
        "VIDREC_MILVUS_URI": milvus,
        "VIDREC_SPLIT_S": str(split_s),
        "VIDREC_LOG_LEVEL": "INFO",
    }
    concurrency = ("--concurrency", "1") if count > 1 else ()
    logs = [data / f"worker-{n}.log" for n in range(count)]
    started = []
    for log in logs:
        with log.open("wb") as output:
            command = [sys.executable, "-m", "vidrec", "worker", "--data", str(data), *concurrency]
            started.append(subprocess.Popen(command, env={**os.environ, **environment}, stderr=output))
    try:
        while not all(b"looking for work" in log.read_bytes() for log in logs):
            if any(process.poll() is not None for process in started):
                raise RuntimeError("\n".join(log.read_text() for log in logs))
            time.sleep(0.05)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def _check_equal(split: Segments, whole: Segments) -> float:
    """The least cosine of a segment to its like; RuntimeError where they are not the same."""
    if [s.time for s in split] != [s.time for s in whole]:
        raise RuntimeError(f"split: {len(split)} segments, in one piece: {len(whole)}")
    least = min(float(a.embedding @ b.embedding) for a, b in zip(split, whole, strict=True))
    if least < LEAST_COSINE:
        raise RuntimeError(f"segments differ: cosine {least}")
    return least


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.split", description=__doc__)
    parser.add_argument("--minutes", type=int, default=120, help="length of the video")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median is told")
    parser.add_argument("--no-report", action="store_true", help="print only, leave docs/benchmarks.md as it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
