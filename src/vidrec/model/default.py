"""The encoder that the first command starts with, made on the spot without torch and without a download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import onnx

from vidrec.domain.models import Frames
from vidrec.model.frames import generated_frames
from vidrec.model.graph import Weights, build
from vidrec.model.library import store_model
from vidrec.model.manifest import stored_models
from vidrec.model.untrained import untrained_weights

ARCHITECTURE, SEED = "resnet18", 0
CALIBRATION_FRAMES, CALIBRATION_SEED = 64, 1
LICENCE = "none needed: random numbers"

Precision = Literal["fp32", "fp16", "int8"]


def ensure_default_model(models_dir: Path, log: Callable[[str], None] = lambda _: None) -> Path:
    """Folder of the untrained int8 ResNet-18 with fixed seed; made where it is not there, which takes some seconds."""
    wanted = untrained_name(ARCHITECTURE, SEED, "int8")
    for folder, manifest in stored_models(models_dir).items():
        if manifest.name == wanted:
            return folder
    log("making the default model: an untrained ResNet-18")
    return store_untrained(ARCHITECTURE, SEED, "int8", models_dir)


def untrained_name(arch: str, seed: int, precision: Precision) -> str:
    """Such as `resnet18 untrained int8`; the seed is named where it is not the default."""
    return " ".join([arch, "untrained", precision, *([f"seed {seed}"] if seed != SEED else [])])


def store_untrained(
    arch: str, seed: int, precision: Precision, models_dir: Path, *, calibration: Frames | None = None
) -> Path:
    """Makes an untrained ResNet and answers its folder."""
    weights = untrained_weights(arch, seed=seed)
    return store_model(
        in_precision(arch, weights, precision, calibration),
        models_dir,
        name=untrained_name(arch, seed, precision),
        architecture=arch,
        weights=f"untrained, seed {seed}",
        weights_sha256=weights_sha256(weights),
        trained=False,
        precision=precision,
        licence=LICENCE,
    )


def in_precision(
    arch: str, weights: Weights, precision: Precision, calibration: Frames | None = None
) -> onnx.ModelProto:
    """The graph in float32, float16, or int8 with value ranges from the calibration frames (default: generated)."""
    if precision != "int8":
        return build(arch, weights, half=precision == "fp16")
    from vidrec.model.quantize import quantize

    frames = generated_frames(CALIBRATION_FRAMES, seed=CALIBRATION_SEED) if calibration is None else calibration
    return quantize(build(arch, weights), frames)


def weights_sha256(weights: Weights) -> str:
    """Hash over names and values, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()
