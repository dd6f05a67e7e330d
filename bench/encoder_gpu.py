"""The encoder service on a GPU beside bare onnxruntime on the same card, and beside torch.

python -m bench.encoder_gpu
python -m bench.encoder_gpu --provider cpu --arch resnet18 --rounds 1 --seconds 2 --callers 2 --clients 4  # a rehearsal

Up to the answer whether there is a GPU it needs the standard library alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, report

ACCEPT, AIM = 0.7, 0.9
BATCH = 64
LOAD, SEED = 0.8, 7
GPU_MEM_LIMIT_MB = 4096
"""Of the bare session and of the service's, which stay loaded side by side."""
QUEUE = 8192
"""Frames that may wait in the service: arrivals that wait for nobody are to be queued, not refused."""
TORCH = Path(__file__).parents[1] / ".venv-train" / "bin" / "python"
TORCH_SCRIPT = Path(__file__).with_name("torch_resnet.py")
TORCH_LIMIT_S = 1800


@dataclass(slots=True)
class Measured:
    """Images a second of each round, and what the steady load took."""

    model: str
    bare: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    offered: float = 0.0
    """Images a second of the steady load."""
    latencies_s: list[float] = field(default_factory=list)
    """Of its batches."""


@dataclass(frozen=True, slots=True)
class Torch:
    """What torch made of it, or why there is no figure."""

    images_per_s: float | None
    remark: str


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    card = gpu()
    if options.provider == "cuda" and card is None:
        print(
            "bench-gpu: skipped, because this machine has no NVIDIA GPU: there is no /dev/nvidia0, and nvidia-smi names"
            " none."
        )
        return
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # device 0 is the one that nvidia-smi names first
    measured = _measure(options)
    text = _text(options, card, measured, _torch(options))
    if options.provider == "cuda":
        report.write("encoder-gpu", text)
    else:
        print(f"A rehearsal on the CPU; its figures say nothing about a GPU, and nothing is written.\n\n{text}")


def gpu() -> str | None:
    """Name and driver of the first NVIDIA GPU; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        found = ""
    name, comma, driver = found.partition("\n")[0].partition(", ")
    if comma:
        return f"{name} (driver {driver})"
    return "an NVIDIA GPU" if Path("/dev/nvidia0").exists() else None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.encoder_gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--provider", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal")
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--precision", choices=("fp16", "fp32"), default="fp16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load in a round")
    parser.add_argument("--callers", type=int, default=6, help=f"that send batches of {BATCH}")
    parser.add_argument("--clients", type=int, default=128, help="that send single images")
    parser.add_argument("--steady", type=float, help="seconds of Poisson arrivals; not given: six times --seconds")
    parser.add_argument("--torch-python", type=Path, default=TORCH, help="of an environment that holds torch")
    return parser.parse_args(arguments)


def _measure(options: argparse.Namespace) -> Measured:
    import uvloop

    from bench.service import running_encoder
    from vidrec.adapters.onnx_encoder import OnnxEncoder
    from vidrec.model.encoder import store_encoder, untrained
    from vidrec.model.frames import generated_frames
    from vidrec.model.manifest import ONNX_FILE, load_model_dir

    frames = generated_frames(BATCH, seed=3)
    environment = {
        "VIDREC_ENCODER_PROVIDER": options.provider,
        "VIDREC_ENCODER_GPU_MEM_LIMIT_MB": str(GPU_MEM_LIMIT_MB),
        "VIDREC_ENCODER_QUEUE": str(QUEUE),
    }
    with tempfile.TemporaryDirectory() as folder:
        model = store_encoder(options.arch, untrained(options.arch), Path(folder), options.precision)
        manifest = load_model_dir(model)
        measured = Measured(manifest.name)
        bare = OnnxEncoder(model / ONNX_FILE, provider=options.provider, gpu_mem_limit=GPU_MEM_LIMIT_MB << 20)
        bare.warm_up()
        with running_encoder(model, environment=environment) as url:
            version = f"model_version={manifest.version}"
            batch = [load.post(url, f"/v1/encode?{version}", frames.tobytes())]
            singles = [load.post(url, f"/v1/encode_image?{version}", frame.tobytes()) for frame in frames]

            def served(requests: list[bytes], clients: int) -> float:
                return uvloop.run(load.closed_loop(url, requests, clients=clients, seconds=options.seconds))[0]

            for _ in range(options.rounds):  # in turns, so that a card that heats up or slows down meets all of them
                measured.bare.append(_images_per_s(lambda: bare.run(frames), options.seconds))
                measured.batches.append(BATCH * served(batch, options.callers))
                measured.singles.append(served(singles, options.clients))
            measured.offered = LOAD * statistics.median(measured.batches)
            due_s = load.arrivals(measured.offered / BATCH, options.steady or 6 * options.seconds, seed=SEED)
            measured.latencies_s = uvloop.run(load.open_loop(url, batch, due_s))
    return measured


def _images_per_s(run: Callable[[], object], seconds: float) -> float:
    images, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        run()
        images += BATCH
    return images / passed


def _torch(options: argparse.Namespace) -> Torch:
    """Runs bench/torch_resnet.py, for torch has an environment of its own."""
    if not options.torch_python.exists():
        return Torch(None, "torch was not measured beside it: `make train-env` makes the environment that holds it.")
    device, mode = ("cuda", "max-autotune") if options.provider == "cuda" else ("cpu", "default")
    command = [options.torch_python, TORCH_SCRIPT, "--arch", options.arch, "--device", device, "--mode", mode]
    command += ["--batch", str(BATCH), "--rounds", str(options.rounds), "--seconds", str(options.seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TORCH_LIMIT_S)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        return Torch(None, f"torch was not measured beside it, because it ended with: {last}")
    except subprocess.TimeoutExpired:
        return Torch(None, f"torch was not measured beside it, because it took over {TORCH_LIMIT_S} s.")
    return Torch(
        float(answer["images_per_s"]),
        f"torch {answer['torch']} runs torchvision's ResNet in bf16, channels-last, compiled ({mode}), from and to the "
        "host's memory too; measured after the others.",
    )


def _text(options: argparse.Namespace, card: str | None, measured: Measured, torch: Torch) -> str:
    def row(name: str, rates: list[float], ratio: str) -> list[object]:
        return [name, f"{statistics.median(rates):.0f}", ratio]

    def of_bare(rates: list[float]) -> float:
        return statistics.median(rate / bare for rate, bare in zip(rates, measured.bare, strict=True))

    rows = [row(f"onnxruntime, batches of {BATCH}", measured.bare, "1")]
    for name, rates in (
        (f"service, batches of {BATCH}, {options.callers} callers", measured.batches),
        (f"service, single images, {options.clients} clients", measured.singles),
    ):
        rows.append(row(name, rates, report.verdict(of_bare(rates), ACCEPT, AIM)))
    if torch.images_per_s:
        ratio = torch.images_per_s / statistics.median(measured.bare)
        rows.append(row(f"torch compiled bf16, batches of {BATCH}", [torch.images_per_s], f"{ratio:.2f}"))
    p50, p99 = (1000 * load.percentile(measured.latencies_s, percent) for percent in (50, 99))
    return "\n\n".join(
        [
            f"## Encoder service on a GPU, {measured.model}",
            f"On {card if options.provider == 'cuda' else 'the CPU'}: images a second through the service beside bare "
            "onnxruntime (IO binding, copies from and to the host's memory included) on the same card, client on the "
            f"same cores; median of {options.rounds} rounds in turns. {torch.remark}",
            report.table(["load", "images a second", "of bare onnxruntime"], rows),
            f"At {LOAD:.0%} of what the service does with batches ({measured.offered:.0f} images a second, Poisson "
            f"arrivals, {len(measured.latencies_s)} batches of {BATCH}): p50 {p50:.0f} ms, **p99 {p99:.0f} ms** from "
            "the time a batch was due to be sent to its answer.",
        ]
    )


if __name__ == "__main__":
    main()
