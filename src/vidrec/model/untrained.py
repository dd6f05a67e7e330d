"""Untrained weights: random kernels whose batch normalisation is fitted on generated frames.

A ResNet of random kernels sees colour, texture and layout, but no meaning; without fitted statistics, its embeddings of
any two pictures would be nearly parallel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from vidrec.model.frames import generated_frames
from vidrec.model.graph import ARCHITECTURES, Weights, build_statistics, convolutions

FITTED_ON = 64
"""Generated frames that the statistics are taken from."""


def untrained_weights(arch: str, *, seed: int) -> Weights:
    """He-initialised kernels (He et al. 2015, arXiv:1502.01852, fan-out, as torchvision) and batch statistics of
    generated frames. The same seed gives the same kernels."""
    rng = np.random.default_rng(seed)
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for layer in convolutions(ARCHITECTURES[arch]):
        out, _, height, width = layer.shape
        deviation = np.sqrt(2.0 / (out * height * width))
        weights[f"{layer.name}.weight"] = rng.normal(0.0, deviation, layer.shape).astype(np.float32)
        weights[f"{layer.bn}.weight"] = np.ones(out, dtype=np.float32)
        weights[f"{layer.bn}.bias"] = np.zeros(out, dtype=np.float32)
    return weights | _statistics(arch, weights, seed)


def _statistics(arch: str, weights: Weights, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    session = ort.InferenceSession(
        build_statistics(arch, weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()[1:]]
    values = session.run(names, {"frames": generated_frames(FITTED_ON, seed=seed)})
    return dict(zip(names, values, strict=True))
