"""Small encoders for fast tests: mean colours of a 4 x 4 grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DIMENSION = 48


def tiny_graph(
    *,
    dtype: int = TensorProto.UINT8,
    shape: tuple[object, ...] = ("n", 224, 224, 3),
    normalised: bool = True,
    second_input: bool = False,
    batch_mean: bool = False,
    scale: float = 1.0,
) -> onnx.ModelProto:
    """frames -> embeddings (n, 48); the options make graphs that break the contract."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[56, 56], strides=[56, 56]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["scaled"]),
    ]
    last = "scaled"
    if batch_mean:
        nodes += [
            helper.make_node("ReduceMean", [last, "first_axis"], ["mean"]),
            helper.make_node("Sub", [last, "mean"], ["centred"]),
            helper.make_node("Add", ["centred", "scale"], ["shifted"]),
        ]
        last = "shifted"
    if second_input:
        nodes.append(helper.make_node("Add", [last, "other"], ["summed"]))
        last = "summed"
    if normalised:
        nodes += [
            helper.make_node("ReduceL2", [last, "second_axis"], ["norm"]),
            helper.make_node("Div", [last, "norm"], ["embeddings"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", [last], ["embeddings"]))
    inputs = [helper.make_tensor_value_info("frames", dtype, shape)]
    if second_input:
        inputs.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1, DIMENSION]))
    constants = [
        numpy_helper.from_array(np.array(scale, dtype=np.float32), "scale"),
        numpy_helper.from_array(np.array([0], dtype=np.int64), "first_axis"),
        numpy_helper.from_array(np.array([1], dtype=np.int64), "second_axis"),
    ]
    output = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", None])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def store_tiny_model(models_dir: Path) -> Path:
    """A model folder of the tiny encoder."""
    from vidrec.model.add import add_model

    source = models_dir / "tiny.onnx"
    models_dir.mkdir(parents=True, exist_ok=True)
    onnx.save(tiny_graph(), source)
    return add_model(source, models_dir, name="tiny", licence="none", trained=True)
