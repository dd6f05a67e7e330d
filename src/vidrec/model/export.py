"""From a state dict to an encoder: torchvision's ImageNet weights, a checkpoint, a safetensors file, or none at all.

torch is imported for torchvision's weights and for checkpoints only; see the `export` extra."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import InvalidInput, InvalidModel, Unavailable
from vidrec.domain.models import Frames
from vidrec.model.encoder import BROUGHT_ALONG, SEED, Fitting, Precision, Source, store_encoder, untrained
from vidrec.model.graph import ARCHITECTURES, Weights, state_shapes
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

    `weights`: `imagenet` (torchvision's, downloaded; Unavailable where there is no internet), `untrained` (needs no
    torch), or the path of a checkpoint: a state dict of the same torchvision ResNet, or a dict that holds one as
    `state_dict` or `model`, or safetensors (InvalidModel). `calibration`: frames for int8; None: generated ones.
    `fitting`: a readout of all stages; None: the one that the weights bring along if `own_readout`, else the mean of
    the last stage.
    """
    source = read_source(arch, weights, seed=seed)
    if not own_readout:
        source = replace(source, readout=None)
    return store_encoder(arch, source, models_dir, precision, calibration=calibration, fitting=fitting)


def read_source(arch: str, weights: str, *, seed: int = SEED) -> Source:
    """Weights by name or path, as `export` takes them."""
    if weights == "untrained":
        return untrained(arch, seed)
    if weights == "imagenet":
        return Source(checked(_imagenet(arch), arch, weights), "imagenet", "torchvision ImageNet", IMAGENET_LICENCE)
    path = Path(weights)
    if not path.is_file():
        raise InvalidModel(f"{path}: no such file; expected `imagenet`, `untrained` or a checkpoint", field="weights")
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


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise InvalidInput(
            "exporting trained weights needs torch, which serving does not: `make export-env`, then "
            "`.venv-export/bin/vidrec model export ...`",
            field="weights",
        ) from None
    return torch


def _imagenet(arch: str) -> Mapping[str, Any]:
    _torch()
    from torchvision.models import get_model_weights

    best = get_model_weights(arch).DEFAULT
    try:
        state: Mapping[str, Any] = best.get_state_dict(progress=False, check_hash=True)
    except OSError as error:  # URLError is one
        raise Unavailable(
            f"could not download {best.url} ({error}): download it where there is internet and name the file by "
            f"--weights PATH"
        ) from None
    return _arrays(state)


def _checkpoint(path: Path) -> Mapping[str, Any]:
    torch = _torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise without a common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidModel(
            f"{path}: not a whole torch checkpoint of plain tensors ({reason})", field="weights"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(name, str) for name in loaded):
        raise InvalidModel(f"{path}: holds no state dict of a torchvision ResNet", field="weights")
    return _arrays({name.removeprefix("module."): value for name, value in loaded.items()})


def _arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """torch's tensors as arrays; anything else is left as it is."""
    return {name: v.detach().float().numpy() if hasattr(v, "detach") else v for name, v in state.items()}


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
