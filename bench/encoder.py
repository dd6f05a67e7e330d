"""The encoder service beside bare onnxruntime: batches over HTTP, and single images from many clients.

python -m bench.encoder
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from bench import load, report
from bench.service import running_encoder
from vidrec.adapters.onnx_encoder import OnnxEncoder
from vidrec.adapters.remote_encoder import RemoteEncoder
from vidrec.domain.models import Frames
from vidrec.model.default import ensure_default_model
from vidrec.model.frames import generated_frames
from vidrec.model.manifest import ONNX_FILE, load_model_dir

BATCH, CLIENTS = 32, 32
ROUNDS, BATCHES_A_ROUND, SECONDS_A_ROUND = 8, 6, 5.0


def main() -> None:
    frames = generated_frames(BATCH, seed=3)
    with tempfile.TemporaryDirectory() as folder:
        model = ensure_default_model(Path(folder), print)
        manifest = load_model_dir(model)
        bare = OnnxEncoder(model / ONNX_FILE)
        bare.warm_up()
        with running_encoder(model) as url:
            remote = RemoteEncoder([url], timeout_s=60)
            bare_batch, http_batch, bare_single, http_single = [], [], [], []
            for _ in range(ROUNDS):  # in turns, so that noise of the machine meets all of them
                bare_batch.append(_batches_per_s(lambda: bare.run(frames)))
                http_batch.append(_batches_per_s(lambda: remote.encode(frames, model_version=manifest.version)))
            for _ in range(ROUNDS):
                bare_single.append(_batches_per_s(lambda: bare.run(frames)))
                http_single.append(uvloop.run(_singles_per_s(url, manifest.version, frames)))
    rows = []
    for name, engine, service, accept, aim in (
        (f"batches of {BATCH}, one caller", bare_batch, http_batch, 0.9, 0.97),
        (f"single images, {CLIENTS} clients", bare_single, [rate for rate, _ in http_single], 0.75, 0.9),
    ):
        ratio = statistics.median(s / e for s, e in zip(service, engine, strict=True))
        rows.append(
            [
                name,
                f"{statistics.median(engine):.0f}",
                f"{statistics.median(service):.0f}",
                report.verdict(ratio, accept, aim),
            ]
        )
    p50 = statistics.median(latency for _, latencies in http_single for latency in latencies)
    report.write(
        "encoder",
        f"## Encoder service, {manifest.name}\n\nImages a second through the service beside bare onnxruntime at batch "
        f"{BATCH} with the same threads, client on the same cores; median of {ROUNDS} paired rounds. Single images are "
        f"raw frames over keep-alive connections, the next sent when the answer is there (p50 {p50 * 1000:.0f} ms).\n\n"
        + report.table(["load", "onnxruntime", "service", "ratio"], rows),
    )


def _batches_per_s(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(BATCHES_A_ROUND):
        run()
    return BATCH * BATCHES_A_ROUND / (time.perf_counter() - started)


async def _singles_per_s(url: str, version: str, frames: Frames) -> tuple[float, list[float]]:
    """Answers (images a second, latencies in seconds)."""
    path = f"/v1/encode_image?model_version={version}"
    requests = [load.post(url, path, frame.tobytes()) for frame in frames]
    return await load.closed_loop(url, requests, clients=CLIENTS, seconds=SECONDS_A_ROUND)


if __name__ == "__main__":
    main()
