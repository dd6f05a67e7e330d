"""The folder of models: one folder a model version, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import onnx

from vidrec.domain import sampling, segmentation
from vidrec.domain.errors import InvalidModel
from vidrec.model.graph import MEAN, STD
from vidrec.model.manifest import (
    LAST_STAGE,
    MANIFEST_FILE,
    ONNX_FILE,
    Manifest,
    canonical_vectors,
    load_model_dir,
    model_version,
    sha256_of,
)

INPUT_CONTRACT = "uint8 RGB frames (n, 224, 224, 3)"
PREPROCESSING = (
    f"inside the graph: x / 255, minus mean {tuple(map(float, MEAN))}, over standard deviation {tuple(map(float, STD))}"
)
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.97, "unknown": 0.99}
"""Two CPUs may round int8 differently by a step; fp32 differs in the last digits only."""


def store_model(
    model: onnx.ModelProto,
    models_dir: Path,
    *,
    name: str,
    architecture: str,
    weights: str,
    weights_sha256: str,
    trained: bool,
    precision: Literal["fp32", "fp16", "int8", "unknown"],
    preprocessing: str = PREPROCESSING,
    readout: str = LAST_STAGE,
    licence: str,
) -> Path:
    """Writes graph and manifest to `<models_dir>/<version>` and answers that folder; the same graph twice is the same
    folder. Nothing is left behind where it fails."""
    models_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=models_dir) as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        graph = folder / ONNX_FILE
        onnx.save(model, graph)
        digest = sha256_of(graph)
        canonical = canonical_vectors(graph, least_cosine=LEAST_COSINE[precision])
        manifest = Manifest(
            version=model_version(digest),
            name=name,
            architecture=architecture,
            weights=weights,
            weights_sha256=weights_sha256,
            trained=trained,
            precision=precision,
            dimension=len(canonical.embeddings[0]),
            input=INPUT_CONTRACT,
            preprocessing=preprocessing,
            readout=readout,
            onnx_sha256=digest,
            sampling=sampling.REVISION,
            segmentation=segmentation.REVISION,
            licence=licence,
            tools=_tools(),
            canonical=canonical,
        )
        (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1))
        target = models_dir / manifest.version
        if not target.exists():
            os.replace(folder, target)
        elif not _is_whole(target):
            shutil.rmtree(target)
            os.replace(folder, target)
    return target


def keep_model(folder: Path, models_dir: Path) -> Path:
    """The model's folder among the models, where encoders find it by its version: copied there, whole or not at all,
    where it is not there. InvalidModel."""
    target = models_dir / load_model_dir(folder).version
    if not _is_whole(target):
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=models_dir) as scratch:
            copy = shutil.copytree(folder, Path(scratch) / "model")
            shutil.rmtree(target, ignore_errors=True)
            os.replace(copy, target)
    return target


def _is_whole(folder: Path) -> bool:
    try:
        load_model_dir(folder)
    except InvalidModel:
        return False
    return True


def _tools() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError

    found = {}
    for package in ("vidrec", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "torch", "torchvision"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
