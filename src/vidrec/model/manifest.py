"""What is written beside an encoder: where it comes from, what it takes and gives, and vectors that prove it.

onnxruntime is imported only where a graph is run: reading manifests is part of every start."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vidrec.domain import sampling, segmentation
from vidrec.domain.errors import InvalidModel
from vidrec.domain.models import ModelVersion
from vidrec.model.frames import generated_frames

ONNX_FILE, MANIFEST_FILE = "model.onnx", "manifest.json"
LAST_STAGE = "mean of the last stage"
CANONICAL_FRAMES, CANONICAL_SEED = 4, 20260101


class CanonicalVectors(BaseModel):
    """Embeddings of frames that anybody can make again: `generated_frames(len(embeddings), seed=seed)`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    embeddings: list[list[float]]
    least_cosine: float
    """Runtimes and processors round differently; another model is further away than this."""


class Manifest(BaseModel):
    """`manifest.json` of a model folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """Model version: a hash of all that changes an embedding."""
    name: str
    architecture: str
    weights: str
    weights_sha256: str
    trained: bool
    precision: Literal["fp32", "fp16", "int8", "unknown"]
    dimension: int
    input: str
    preprocessing: str
    readout: str = LAST_STAGE
    """How an embedding is made of what the network sees."""
    onnx_sha256: str
    sampling: str
    segmentation: str
    licence: str
    tools: dict[str, str]
    canonical: CanonicalVectors


def model_version(onnx_sha256: str) -> str:
    """`m` and 12 hexadecimal digits: the hash of graph, sampling and segmentation, fit for a collection's name."""
    parts = f"{onnx_sha256}\n{sampling.REVISION}\n{segmentation.REVISION}"
    return "m" + hashlib.sha256(parts.encode()).hexdigest()[:12]


def to_model_version(manifest: Manifest) -> ModelVersion:
    """What SQL and the vector index know of the model."""
    return ModelVersion(
        version=manifest.version,
        name=manifest.name,
        dimension=manifest.dimension,
        trained=manifest.trained,
        manifest=manifest.model_dump(mode="json", exclude={"canonical"}),
    )


def load_model_dir(folder: Path) -> Manifest:
    """The manifest of a model folder whose graph is the one it was written for. InvalidModel."""
    path = folder / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InvalidModel(
            f"{folder}: expected a folder made by `vidrec model export` or `vidrec model add`, with {MANIFEST_FILE}",
            field=str(folder),
        ) from None
    except (ValidationError, OSError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InvalidModel(f"{path}: not a manifest of this release ({reason})", field=str(path)) from None
    graph = folder / ONNX_FILE
    if not graph.is_file():
        raise InvalidModel(f"{graph}: missing beside its manifest", field=str(graph))
    digest = sha256_of(graph)
    if digest != manifest.onnx_sha256:
        raise InvalidModel(f"{graph}: its bytes are not those that the manifest was written for", field=str(graph))
    if manifest.version != model_version(digest):
        raise InvalidModel(
            f"{folder}: made for sampling {manifest.sampling} and segmentation {manifest.segmentation}; this release "
            f"has {sampling.REVISION} and {segmentation.REVISION}: export or add the model again",
            field=str(folder),
        )
    return manifest


def stored_models(models_dir: Path) -> Mapping[Path, Manifest]:
    """Every whole model of this release, by folder; others are passed over."""
    found = {}
    for path in sorted(models_dir.glob(f"*/{MANIFEST_FILE}")):
        try:
            found[path.parent] = load_model_dir(path.parent)
        except InvalidModel:
            continue
    return found


def verify(folder: Path) -> float:
    """Runs the canonical frames and answers the least cosine to the canonical vectors; InvalidModel where it is below
    the manifest's."""
    from vidrec.model.session import run_model

    manifest = load_model_dir(folder)
    expected = np.array(manifest.canonical.embeddings, dtype=np.float32)
    found = run_model(folder / ONNX_FILE, generated_frames(len(expected), seed=manifest.canonical.seed))
    cosines = (expected * found).sum(1) / (np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1))
    least = float(cosines.min())
    if not least >= manifest.canonical.least_cosine:
        raise InvalidModel(
            f"{folder}: canonical vectors differ: cosine {least:.4f}, expected at least "
            f"{manifest.canonical.least_cosine}",
            field=str(folder),
        )
    return least


def canonical_vectors(graph: Path, *, least_cosine: float) -> CanonicalVectors:
    """The graph's embeddings of the canonical frames."""
    from vidrec.model.session import run_model

    embeddings = run_model(graph, generated_frames(CANONICAL_FRAMES, seed=CANONICAL_SEED))
    return CanonicalVectors(
        seed=CANONICAL_SEED,
        embeddings=[[round(float(x), 6) for x in row] for row in embeddings],
        least_cosine=least_cosine,
    )


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
