"""Weights and a readout become an encoder: a graph in some precision, and its manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx

from vidrec.domain.models import Frames
from vidrec.model.fit import DIMENSION, check_dimension, fitting_pictures, readout_of
from vidrec.model.frames import generated_frames
from vidrec.model.graph import Weights, build
from vidrec.model.library import store_model
from vidrec.model.manifest import LAST_STAGE
from vidrec.model.readout import Readout
from vidrec.model.untrained import untrained_weights

SEED = 0
"""Of untrained weights."""
CALIBRATION_FRAMES, CALIBRATION_SEED = 64, 1

BROUGHT_ALONG = "brought along with the weights"

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True, slots=True)
class Source:
    """Weights and what is known of them."""

    weights: Weights
    name: str
    """For people, a word or two."""
    origin: str
    licence: str
    trained: bool = True
    readout: Readout | None = None
    """The one that was fitted for them, where they brought one along."""
    readout_origin: str = BROUGHT_ALONG


@dataclass(frozen=True, slots=True)
class Fitting:
    """A readout to be fitted anew."""

    dimension: int = DIMENSION
    frames: Frames | None = None
    """None: generated pictures."""
    origin: str = "generated pictures"


def untrained(arch: str, seed: int = SEED) -> Source:
    """Random weights; the same seed gives the same."""
    name = " ".join(["untrained", *([f"seed {seed}"] if seed != SEED else [])])
    return Source(
        untrained_weights(arch, seed=seed),
        name,
        origin=f"untrained, seed {seed}",
        licence="none needed: random numbers",
        trained=False,
    )


def encoder_name(arch: str, source: Source, precision: Precision, readout: Readout | None) -> str:
    """Such as `resnet18 untrained int8`, or with the readout's dimension behind it."""
    return " ".join([arch, source.name, precision, *([f"stages {readout.dimension}"] if readout else [])])


def store_encoder(
    arch: str,
    source: Source,
    models_dir: Path,
    precision: Precision,
    *,
    calibration: Frames | None = None,
    fitting: Fitting | None = None,
    graph: onnx.ModelProto | None = None,
) -> Path:
    """Makes an encoder of weights at hand and answers its folder; `graph`: the one that was made of them before."""
    readout, origin = source.readout, source.readout_origin
    if fitting is not None:
        check_dimension(arch, fitting.dimension)
        frames = fitting_pictures() if fitting.frames is None else fitting.frames
        readout, origin = readout_of(arch, source.weights, frames, dimension=fitting.dimension), fitting.origin
    told = f"mean and deviation of four stages, whitened to {readout.dimension}: {origin}" if readout else LAST_STAGE
    return store_model(
        graph or in_precision(arch, source.weights, precision, calibration, readout=readout),
        models_dir,
        name=encoder_name(arch, source, precision, readout),
        architecture=arch,
        weights=source.origin,
        weights_sha256=weights_sha256(source.weights),
        trained=source.trained,
        precision=precision,
        readout=told,
        licence=source.licence,
    )


def in_precision(
    arch: str,
    weights: Weights,
    precision: Precision,
    calibration: Frames | None = None,
    *,
    readout: Readout | None = None,
) -> onnx.ModelProto:
    """The graph in float32, float16, or int8 with value ranges from the calibration frames (default: generated)."""
    if precision != "int8":
        return build(arch, weights, half=precision == "fp16", readout=readout)
    from vidrec.model.quantize import quantize

    frames = generated_frames(CALIBRATION_FRAMES, seed=CALIBRATION_SEED) if calibration is None else calibration
    return quantize(build(arch, weights, readout=readout), frames)


def weights_sha256(weights: Weights) -> str:
    """Hash over names and values, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()
