"""Any other encoder in place of the ResNet: an ONNX file that takes uint8 frames and gives vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from vidrec.domain.errors import InvalidModel
from vidrec.model.frames import SIDE, generated_frames
from vidrec.model.library import store_model
from vidrec.model.manifest import sha256_of
from vidrec.model.session import run_model

CONTRACT = f"one uint8 input (n, {SIDE}, {SIDE}, 3) of RGB frames with n free, and a first output float32 (n, d)"
INDEPENDENCE = 1e-3
"""How much an embedding may change with the frames beside it."""
UNIT = 1e-3


def add_model(path: Path, models_dir: Path, *, name: str | None, licence: str, trained: bool) -> Path:
    """Checks the file against the contract by running it, writes it with a manifest and answers its folder. Vectors
    that are not of length 1 are normalised by nodes that are added. InvalidModel says what was expected; nothing is
    written then."""
    model = _load(path)
    _check_signature(model, path)
    embeddings = _check_behaviour(path)
    if np.abs(np.linalg.norm(embeddings, axis=1) - 1).max() > UNIT:
        model = _normalised(model)
    return store_model(
        model,
        models_dir,
        name=name or path.stem,
        architecture=model.graph.name or path.stem,
        weights=f"added from {path.name}",
        weights_sha256=sha256_of(path),
        trained=trained,
        precision="unknown",
        preprocessing="inside the graph",
        readout="inside the graph",
        licence=licence,
    )


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise InvalidModel(f"{path}: no such file", field=str(path))
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and file errors have no common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidModel(f"{path}: not a whole ONNX file ({reason}); expected {CONTRACT}", field=str(path)) from None
    return model


def _check_signature(model: onnx.ModelProto, path: Path) -> None:
    held = {initializer.name for initializer in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        raise InvalidModel(f"{path}: has {len(inputs)} inputs; expected {CONTRACT}", field=str(path))
    taken = inputs[0].type.tensor_type
    shape = [dim.dim_value or None for dim in taken.shape.dim]
    if taken.elem_type != TensorProto.UINT8 or len(shape) != 4 or shape[0] is not None:
        raise InvalidModel(f"{path}: its input {_told(inputs[0])} is another; expected {CONTRACT}", field=str(path))
    if any(size not in (None, wanted) for size, wanted in zip(shape[1:], (SIDE, SIDE, 3), strict=True)):
        raise InvalidModel(f"{path}: its input {_told(inputs[0])} is another; expected {CONTRACT}", field=str(path))
    given = model.graph.output[0].type.tensor_type
    if given.elem_type != TensorProto.FLOAT or len(given.shape.dim) not in (0, 2):
        raise InvalidModel(
            f"{path}: its output {_told(model.graph.output[0])} is another; expected {CONTRACT}", field=str(path)
        )


def _told(value: onnx.ValueInfoProto) -> str:
    kind = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shape = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in value.type.tensor_type.shape.dim)
    return f"{value.name} {kind} ({shape})"


def _check_behaviour(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    frames = generated_frames(3, seed=11)
    try:
        together = run_model(path, frames)
        alone = run_model(path, frames[:1])
    except (ort.capi.onnxruntime_pybind11_state.OnnxRuntimeException, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidModel(f"{path}: cannot be run ({reason}); expected {CONTRACT}", field=str(path)) from None
    if together.ndim != 2 or len(together) != 3 or together.shape[1] < 2:
        raise InvalidModel(f"{path}: gives shape {together.shape} for 3 frames; expected {CONTRACT}", field=str(path))
    if not np.isfinite(together).all() or not np.abs(together).sum(axis=1).all():
        raise InvalidModel(f"{path}: gives vectors that are zero or not finite", field=str(path))
    if np.abs(together[:1] - alone).max() > INDEPENDENCE * np.abs(alone).max():
        raise InvalidModel(f"{path}: a frame's vector depends on the frames beside it", field=str(path))
    return together


def _normalised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its first output divided by its length."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    raw = graph.output[0].name
    opset = next(entry.version for entry in copy.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < 18:
        copy = onnx.version_converter.convert_version(copy, 18)
        graph = copy.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "vidrec.axes"))
    graph.initializer.append(numpy_helper.from_array(np.array(1e-12, dtype=np.float32), "vidrec.least"))
    graph.node.append(helper.make_node("ReduceL2", [raw, "vidrec.axes"], ["vidrec.norm"]))
    graph.node.append(helper.make_node("Max", ["vidrec.norm", "vidrec.least"], ["vidrec.safe_norm"]))
    graph.node.append(helper.make_node("Div", [raw, "vidrec.safe_norm"], ["vidrec.embeddings"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("vidrec.embeddings", TensorProto.FLOAT, ["n", None]))
    onnx.checker.check_model(copy)
    return copy
