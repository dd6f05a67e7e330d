"""Ingest of ten-minute clips against the time that decoding and inference alone must take on these cores.

python -m bench.ingest
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import report
from bench.decode import CODECS, MINUTES, SUFFIX, clip, cost, sample
from bench.service import running_encoder
from tests.clips import ffmpeg
from tests.servers import milvus_lite, running
from vidrec.adapters.onnx_encoder import OnnxEncoder
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.ingest import Ingest, find_files
from vidrec.model.default import ensure_default_model
from vidrec.model.frames import generated_frames
from vidrec.model.manifest import ONNX_FILE, load_model_dir, to_model_version

CLIPS = 10
ROUNDS = 3
BATCH = 32


@dataclass(frozen=True, slots=True)
class Round:
    """One ingest and what it could have taken, in seconds."""

    wall_s: float
    decode_cpu_s: float
    inference_cpu_s: float

    @property
    def bound_s(self) -> float:
        return (self.decode_cpu_s + self.inference_cpu_s) / len(os.sched_getaffinity(0))


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = ensure_default_model(folder / "models", print)
        bare = OnnxEncoder(model / ONNX_FILE)
        bare.warm_up()
        with running_encoder(model) as encoder, running(milvus_lite(folder / "vectors")) as milvus:
            for codec in CODECS:
                for gop_s in (5, 10):
                    clips = _copies(folder / f"{codec}-{gop_s}", codec, gop_s)
                    rounds = [_round(clips, model, bare, encoder, milvus.uri) for _ in range(ROUNDS)]
                    rows.append(_row(f"{codec}, keyframe every {gop_s} s", rounds))
        manifest = load_model_dir(model)
    report.write(
        "ingest",
        "## Ingest\n\n"
        f"{CLIPS} clips of {MINUTES} minutes, 720p, 2 Mbit/s, {manifest.name}: from `vidrec ingest` to the last\n"
        "one indexed, hashing, pictures and Milvus Lite included; one `vidrec worker`, the encoder service and Milvus\n"
        "Lite as processes of their own. The bound is the CPU time of the same sampling alone and of bare onnxruntime\n"
        f"on as many frames, over the cores, measured in turns with the ingest; median of {ROUNDS} rounds.\n\n"
        + report.table(["clips", "wall", "sampling, CPU", "onnxruntime, CPU", "bound / wall"], rows),
    )


def _row(name: str, rounds: list[Round]) -> list[object]:
    wall_s, decode_s, inference_s = (
        statistics.median(values)
        for values in zip(*((r.wall_s, r.decode_cpu_s, r.inference_cpu_s) for r in rounds), strict=True)
    )
    ratio = statistics.median(r.bound_s / r.wall_s for r in rounds)
    return [name, f"{wall_s:.1f} s", f"{decode_s:.1f} s", f"{inference_s:.1f} s", report.verdict(ratio, 0.7, 0.85)]


def _copies(folder: Path, codec: str, gop_s: int) -> list[Path]:
    """Clips of the same pictures whose bytes differ."""
    folder.mkdir()
    paths = [folder / f"{n}.{SUFFIX[codec]}" for n in range(CLIPS)]
    for path in paths:
        ffmpeg("-i", clip(codec, gop_s), "-c", "copy", "-metadata", f"title={path.stem}", path)
    os.sync()  # writing them back is not part of what is measured
    return paths


def _round(clips: list[Path], model: Path, bare: OnnxEncoder, encoder: str, milvus: str) -> Round:
    counted: list[int] = []
    decoding = cost(lambda: counted.extend(sample(path) for path in clips))
    frames = generated_frames(BATCH, seed=3)

    def infer() -> None:
        for count in counted:
            for start in range(0, count, BATCH):
                bare.run(frames[: min(BATCH, count - start)])

    inference = cost(infer)
    return Round(_ingest(clips, model, encoder, milvus), decoding.cpu_s, inference.cpu_s)


def _ingest(clips: list[Path], model: Path, encoder: str, milvus: str) -> float:
    """Seconds from the start of the ingest to the last video indexed, into an empty catalogue."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        url = f"sqlite:///{data / 'vidrec.db'}"
        migrate(url)
        database = SqlDatabase(url)
        version = to_model_version(load_model_dir(model))
        with database.transaction() as uow:
            uow.models.register(version)
            uow.models.activate(version.version)
        ingest = Ingest(database, SqliteQueue(database))
        with _worker(data, encoder, milvus):
            began = time.perf_counter()
            intake = ingest.add(find_files(clips))
            last = list(ingest.follow(intake.queued, every_s=0.02))[-1]
            took = time.perf_counter() - began
        database.close()
    if last.indexed != len(clips):
        raise RuntimeError(f"{last.indexed} of {len(clips)} indexed: {last.failed}")
    return took


@contextmanager
def _worker(data: Path, encoder: str, milvus: str) -> Iterator[None]:
    """A worker that looks for work when the block begins."""
    environment = {"VIDREC_ENCODER_URLS": f'["{encoder}"]', "VIDREC_MILVUS_URI": milvus, "VIDREC_LOG_LEVEL": "INFO"}
    log = data / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vidrec", "worker", "--data", str(data)],
            env={**os.environ, **environment},
            stderr=output,
        )
    try:
        while b"looking for work" not in log.read_bytes():
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
