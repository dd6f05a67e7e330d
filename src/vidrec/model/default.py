"""The encoder that the first command starts with, made on the spot without torch and without a download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vidrec.model.encoder import store_encoder, untrained
from vidrec.model.manifest import stored_models

ARCHITECTURE = "resnet18"


def ensure_default_model(models_dir: Path, log: Callable[[str], None] = lambda _: None) -> Path:
    """Folder of the untrained int8 ResNet-18 with fixed seed; made where it is not there, which takes some seconds."""
    for folder, manifest in stored_models(models_dir).items():
        if manifest.name == f"{ARCHITECTURE} untrained int8":
            return folder
    log("making the default model: an untrained ResNet-18")
    return store_encoder(ARCHITECTURE, untrained(ARCHITECTURE), models_dir, "int8")
