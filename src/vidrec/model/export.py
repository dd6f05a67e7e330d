"""From torchvision's weights to an encoder. The only module that imports torch; see the `export` extra."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import InvalidInput, InvalidModel, Unavailable
from vidrec.domain.models import Frames
from vidrec.model.default import Precision, in_precision, store_untrained, weights_sha256
from vidrec.model.graph import ARCHITECTURES, Weights, state_shapes
from vidrec.model.library import store_model

IMAGENET_LICENCE = "weights: BSD-3-Clause, torchvision; trained on ImageNet, whose pictures are licensed for research"


def export(
    arch: str,
    weights: str,
    models_dir: Path,
    *,
    precision: Precision = "fp32",
    seed: int = 0,
    calibration: Frames | None = None,
) -> Path:
    """Makes an encoder and answers its folder; nothing is written where it fails.

    `weights`: `imagenet` (torchvision's, downloaded; Unavailable where there is no internet), `untrained` (needs no
    torch), or the path of a checkpoint: a state dict of the same torchvision ResNet, or a dict that holds one as
    `state_dict` or `model` (InvalidModel). `calibration`: frames for int8; None: generated ones.
    """
    if weights == "untrained":
        return store_untrained(arch, seed, precision, models_dir, calibration=calibration)
    if weights == "imagenet":
        state, label, licence = _imagenet(arch), "torchvision ImageNet", IMAGENET_LICENCE
    else:
        path = Path(weights)
        state, label, licence = _checkpoint(path), f"checkpoint {path.name}", "that of the checkpoint"
    checked = _checked(state, arch, weights)
    return store_model(
        in_precision(arch, checked, precision, calibration),
        models_dir,
        name=f"{arch} {'imagenet' if weights == 'imagenet' else Path(weights).stem} {precision}",
        architecture=arch,
        weights=label,
        weights_sha256=weights_sha256(checked),
        trained=True,
        precision=precision,
        licence=licence,
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
    return state


def _checkpoint(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise InvalidModel(f"{path}: no such file; expected `imagenet`, `untrained` or a checkpoint", field="weights")
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
    return {name.removeprefix("module."): value for name, value in loaded.items()}


def _checked(state: Mapping[str, Any], arch: str, source: str) -> Weights:
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
        weights[name] = value.detach().to("cpu").float().numpy()
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
