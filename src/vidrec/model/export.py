"""From a state dict to an encoder: a file as torch writes it, safetensors, or none at all. No torch is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import InvalidModel
from vidrec.domain.models import Frames
from vidrec.model.built_in import NAME, int8_graph, read_card, weights_path
from vidrec.model.encoder import BROUGHT_ALONG, SEED, Fitting, Precision, Source, store_encoder, untrained
from vidrec.model.graph import ARCHITECTURES, Weights, state_shapes
from vidrec.model.published import FILES, check_published
from vidrec.model.torch_file import read_torch_file
from vidrec.model.weights_file import SUFFIX, read_tensors, split_readout

IMAGENET_LICENCE = "weights: BSD-3-Clause, torchvision; trained on ImageNet, whose pictures are licensed for research"


def export(
    arch: str,
    weights: str,
    models_dir: Path,
    *,
    precision: Precision = "fp32",
    seed: int = SEED,
    calibration: Frames | None = None,
    fitting: Fitting | None = None,
    own_readout: bool = True,
) -> Path:
    """Makes an encoder and answers its folder; nothing is written where it fails.

    `weights`: `built-in`, `untrained`, or the path of a checkpoint: a state dict of the same torchvision ResNet, or a
    dict that holds one as `state_dict` or `model`, or safetensors (InvalidModel). A file that is named as torchvision
    names its own must be that one. `calibration`: frames for int8; None: generated ones.
    `fitting`: a readout of all stages; None: the one that the weights bring along if `own_readout`, else the mean of
    the last stage.
    """
    source = read_source(arch, weights, seed=seed)
    if weights == NAME and precision == "int8" and calibration is None and fitting is None and own_readout:
        return store_encoder(arch, source, models_dir, precision, graph=int8_graph())
    if not own_readout:
        source = replace(source, readout=None)
    return store_encoder(arch, source, models_dir, precision, calibration=calibration, fitting=fitting)


def read_source(arch: str, weights: str, *, seed: int = SEED) -> Source:
    """Weights by name or path, as `export` takes them."""
    if weights == "untrained":
        return untrained(arch, seed)
    if weights == NAME:
        card = read_card()
        if arch != card.arch:
            raise InvalidModel(f"the built-in weights are those of a {card.arch}, not of a {arch}", field="weights")
        weights = str(weights_path())
    path = Path(weights)
    if not path.is_file():
        raise InvalidModel(
            f"{path}: no such file; expected `built-in`, `imagenet`, `untrained` or a checkpoint", field="weights"
        )
    if path.name == FILES[arch]:
        check_published(path)
        state = checked(_checkpoint(path), arch, weights)
        return Source(state, "imagenet", "torchvision ImageNet", IMAGENET_LICENCE)
    if path.suffix != SUFFIX:
        state = checked(_checkpoint(path), arch, weights)
        return Source(state, path.stem, f"checkpoint {path.name}", "that of the checkpoint")
    tensors, notes = read_tensors(path)
    network, readout = split_readout(tensors, weights)
    return Source(
        checked(network, arch, weights),
        notes.get("name", path.stem),
        notes.get("origin", f"checkpoint {path.name}"),
        notes.get("licence", "that of the checkpoint"),
        readout=readout,
        readout_origin=notes.get("readout", BROUGHT_ALONG),
    )


def _checkpoint(path: Path) -> Mapping[str, Any]:
    loaded = read_torch_file(path)
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(name, str) for name in loaded):
        raise InvalidModel(f"{path}: holds no state dict of a torchvision ResNet", field="weights")
    return {name.removeprefix("module."): value for name, value in loaded.items()}


def checked(state: Mapping[str, Any], arch: str, source: str) -> Weights:
    """The tensors that the graph needs, as float32; InvalidModel names the first that is missing or another."""
    weights: dict[str, npt.NDArray[np.float32]] = {}
    expected = state_shapes(ARCHITECTURES[arch])
    for name, shape in expected.items():
        value = state.get(name)
        found = None if value is None else tuple(getattr(value, "shape", ()))
        if value is None or found != shape:
            is_what = "is missing" if found is None else f"has shape {found}"
            raise InvalidModel(
                f"{source}: not the weights of a torchvision {arch}: {name} {is_what}, expected {shape}",
                field="weights",
            )
        weights[name] = np.asarray(value, dtype=np.float32)
    stray = [
        n for n in state if n not in expected and not n.startswith("fc.") and not n.endswith("num_batches_tracked")
    ]
    if stray:
        raise InvalidModel(
            f"{source}: not the weights of a torchvision {arch}: it also holds {stray[0]} (a deeper network?)",
            field="weights",
        )
    if not all(np.isfinite(value).all() for value in weights.values()):
        raise InvalidModel(f"{source}: holds values that are not finite", field="weights")
    return weights
