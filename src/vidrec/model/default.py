"""The encoder that the first command starts with, made on the spot without torch and without a download: of the
weights that come with the package, or of none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vidrec.model.built_in import NAME, default_weights, read_card
from vidrec.model.export import export
from vidrec.model.manifest import stored_models


def ensure_default_model(models_dir: Path, log: Callable[[str], None] = lambda _: None) -> Path:
    """Folder of the built-in int8 ResNet, or of an untrained one with fixed seed where the package comes without
    weights; made where it is not there, which takes some seconds."""
    arch, weights = default_weights()
    wanted, origin = f"{arch} {weights} int8", "untrained, seed 0"
    if weights == NAME:
        card = read_card()
        wanted, origin = f"{wanted} stages {card.dimension}", card.origin
    for folder, manifest in stored_models(models_dir).items():
        if (manifest.name, manifest.weights) == (wanted, origin):
            return folder
    log(f"making the default model: {arch}, {weights}")
    return export(arch, weights, models_dir, precision="int8")
