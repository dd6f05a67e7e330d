"""The network that is trained: torchvision's ResNet, a head that only training uses, and their running average."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidrec.model.graph import ARCHITECTURES

HEAD = 128


class Network(nn.Module):
    """Pictures -> points on the sphere that the loss looks at."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        from torchvision.models import get_model

        width = ARCHITECTURES[arch].dimension
        self.encoder = get_model(arch, weights=None)
        self.encoder.fc = nn.Identity()
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, HEAD)
        )

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=has_bfloat16(x.device)):
            features = self.encoder(x)
        return F.normalize(self.head(features.float()), dim=1)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class RunningAverage:
    """Exponential average of all weights and statistics: what a training at a steady rate has learned, without its
    noise (Polyak averaging)."""

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._keep = keep

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Takes in the network after `step` steps; the first ones count for more."""
        keep = min(self._keep, (1 + step) / (10 + step))
        mine, theirs = list(_floats(self.network)), list(_floats(network))
        torch._foreach_lerp_(mine, theirs, 1 - keep)


def _floats(network: nn.Module) -> Iterator[Tensor]:
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            yield tensor.detach()


def optimizer_of(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW; kernels decay, biases and normalisations do not."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))
