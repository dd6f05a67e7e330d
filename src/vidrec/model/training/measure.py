"""The tuning measure: retrieval among photographs that the training never sees, by the readout that will be shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vidrec.domain.models import Frames
from vidrec.domain.retrieval import retrieval
from vidrec.model.graph import MEAN, STD, THINNED_STAGES
from vidrec.model.readout import fit_readout

STAGES = ("layer1", "layer2", "layer3", "layer4")
BATCH = 32
DIMENSION = 512


@dataclass(frozen=True, slots=True)
class TuningSet:
    """Labelled pictures, and generated ones that the readout is fitted on; uint8 (n, 224, 224, 3)."""

    pictures: Frames
    labels: tuple[str, ...]
    fitting: Frames


@dataclass(frozen=True, slots=True)
class Measured:
    """Mean average precision of the last stage as it is, and of the whole readout."""

    last_stage: float
    readout: float


def measure(network: nn.Module, tuning: TuningSet, device: torch.device) -> Measured:
    """Of an encoder in evaluation mode; takes some seconds."""
    found = stage_statistics(network, tuning.pictures, device)
    readout = fit_readout(stage_statistics(network, tuning.fitting, device), DIMENSION)
    return Measured(
        retrieval(found[2 * len(STAGES) - 2], tuning.labels).mean_average_precision,
        retrieval(readout(np.concatenate(found, axis=1)), tuning.labels).mean_average_precision,
    )


@torch.no_grad()
def stage_statistics(network: nn.Module, frames: Frames, device: torch.device) -> list[npt.NDArray[np.float32]]:
    """For each stage the means (n, channels) and standard deviations over the picture, as the encoder's graph
    computes them."""
    outputs: list[list[Tensor]] = [[] for _ in range(2 * len(STAGES))]

    def pool(at: int) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            seen = output[:, :, ::2, ::2] if at < THINNED_STAGES else output
            outputs[2 * at].append(seen.mean((2, 3)).cpu())
            outputs[2 * at + 1].append(seen.std((2, 3), correction=0).cpu())

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(pool(i)) for i, name in enumerate(STAGES)]
    mean, std = (torch.tensor(v, dtype=torch.float32, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
    try:
        for start in range(0, len(frames), BATCH):
            x = torch.from_numpy(frames[start : start + BATCH]).to(device).permute(0, 3, 1, 2).float() / 255
            network(((x - mean) / std).contiguous(memory_format=torch.channels_last))
    finally:
        for hook in hooks:
            hook.remove()
    return [torch.cat(parts).numpy() for parts in outputs]
