"""Weights as safetensors: a state dict under torchvision's names, with or without the readout that was fitted for it.
Plain tensors only: nothing in such a file can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vidrec.domain.errors import InvalidModel
from vidrec.model.graph import Weights
from vidrec.model.readout import Readout

SUFFIX = ".safetensors"
MATRIX, BIAS = "readout.matrix", "readout.bias"


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[np.generic]], Mapping[str, str]]:
    """All tensors of a file, and its notes. InvalidModel."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidModel(f"{path}: not a whole safetensors file ({reason})", field="weights") from None


def split_readout(
    tensors: Mapping[str, npt.NDArray[np.generic]], source: str
) -> tuple[dict[str, npt.NDArray[np.generic]], Readout | None]:
    """The network's tensors, and the readout where the file has one. InvalidModel where its shape is impossible."""
    network = {name: value for name, value in tensors.items() if name not in (MATRIX, BIAS)}
    matrix, bias = tensors.get(MATRIX), tensors.get(BIAS)
    if matrix is None and bias is None:
        return network, None
    if matrix is None or bias is None or matrix.ndim != 2 or bias.shape != matrix.shape[1:]:
        raise InvalidModel(f"{source}: {MATRIX} and {BIAS} do not fit each other", field="weights")
    return network, Readout(matrix.astype(np.float32), bias.astype(np.float32))


def encoded(weights: Weights, readout: Readout | None, notes: Mapping[str, str]) -> bytes:
    """A file's content: kernels and readout in float16, statistics and biases in float32."""
    tensors = {name: _stored(value) for name, value in weights.items()}
    if readout is not None:
        tensors[MATRIX] = np.ascontiguousarray(readout.matrix, dtype=np.float16)
        tensors[BIAS] = np.ascontiguousarray(readout.bias, dtype=np.float32)
    return save(tensors, metadata=dict(notes))


def _stored(value: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(value, dtype=np.float16 if value.ndim > 1 else np.float32)
