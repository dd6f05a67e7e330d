"""The same ResNet by torch, compiled, in bf16: what `bench.encoder_gpu` is shown beside. Runs in the environment that
holds torch, which has nothing of vidrec; prints one line of JSON.

.venv-train/bin/python bench/torch_resnet.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch
import torchvision

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Encoder(torch.nn.Module):
    """(n, 224, 224, 3) uint8 -> (n, d) float32, L2-normalised, as the ONNX graph does it."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        self.resnet = torchvision.models.get_model(arch, weights=None)
        self.resnet.fc = torch.nn.Identity()
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        planes = frames.permute(0, 3, 1, 2).to(self.scale.dtype)  # a view: the frames are channels-last already
        return torch.nn.functional.normalize(self.resnet(planes * self.scale + self.shift).float())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--mode", default="max-autotune", help="of torch.compile")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round")
    options = parser.parse_args()

    encoder = Encoder(options.arch).eval().to(options.device, torch.bfloat16, memory_format=torch.channels_last)
    compiled = torch.compile(encoder, mode=options.mode)
    frames = np.random.default_rng(3).integers(0, 256, (options.batch, 224, 224, 3), dtype=np.uint8)

    def run() -> None:
        """One batch from the host's memory to embeddings in the host's memory."""
        with torch.inference_mode():
            compiled(torch.from_numpy(frames).to(options.device)).cpu()

    for _ in range(5):  # compiles, then records the CUDA graph
        run()
    rates = [_images_per_s(run, options.batch, options.seconds) for _ in range(options.rounds)]
    print(json.dumps({"images_per_s": statistics.median(rates), "torch": torch.__version__}))


def _images_per_s(run: object, batch: int, seconds: float) -> float:
    assert callable(run)
    images, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        run()
        images += batch
    return images / passed


if __name__ == "__main__":
    main()
