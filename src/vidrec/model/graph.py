"""The ResNet as an ONNX graph (He et al. 2015, arXiv:1512.03385; torchvision's variant, which strides in the 3x3
convolution), filled with a torchvision state dict: classifier removed, preprocessing and L2 normalisation inside.

Batch normalisation is folded into the convolutions, so that every runtime sees plain convolutions and quantisation has
nothing to fuse first. `tests/full` compares all five depths with torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from vidrec.model.readout import Readout

Weights = Mapping[str, npt.NDArray[np.float32]]
"""Tensors by their names in torchvision's state dict; `fc.*` is not used."""

SIDE = 224
OPSET = 20
IR_VERSION = 10
INPUT, STATISTICS, FEATURES, OUTPUT = "frames", "statistics", "features", "embeddings"
"""Names in the graph; the features are what is L2-normalised to give the embeddings."""
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
"""Of ImageNet, as torchvision's weights expect."""
BN_EPSILON = 1e-5
MIN_NORM = 1e-12
THINNED_STAGES = 2
"""Stages that the readout takes every other row and column of."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Depth and width of one ResNet."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool

    @property
    def dimension(self) -> int:
        return 2048 if self.bottleneck else 512


ARCHITECTURES = {
    "resnet18": Architecture((2, 2, 2, 2), bottleneck=False),
    "resnet34": Architecture((3, 4, 6, 3), bottleneck=False),
    "resnet50": Architecture((3, 4, 6, 3), bottleneck=True),
    "resnet101": Architecture((3, 4, 23, 3), bottleneck=True),
    "resnet152": Architecture((3, 8, 36, 3), bottleneck=True),
}


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with the batch normalisation behind it."""

    name: str
    bn: str
    shape: tuple[int, int, int, int]
    """Output channels, input channels, height, width."""
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """One residual block: a main path, and a projection where the shapes differ."""

    path: tuple[Convolution, ...]
    shortcut: Convolution | None


def stem() -> Convolution:
    """The first convolution of every depth."""
    return Convolution("conv1", "bn1", (64, 3, 7, 7), stride=2)


def blocks(architecture: Architecture) -> list[Block]:
    """All residual blocks in order, under torchvision's names."""
    expansion = 4 if architecture.bottleneck else 1
    result = []
    channels = 64
    for stage, count in enumerate(architecture.blocks):
        width = 64 << stage
        for number in range(count):
            prefix = f"layer{stage + 1}.{number}"
            stride = 2 if stage and number == 0 else 1
            out = width * expansion
            shapes = (
                [((width, channels, 1, 1), 1), ((width, width, 3, 3), stride), ((out, width, 1, 1), 1)]
                if architecture.bottleneck
                else [((width, channels, 3, 3), stride), ((width, width, 3, 3), 1)]
            )
            path = tuple(
                Convolution(f"{prefix}.conv{i}", f"{prefix}.bn{i}", shape, step)
                for i, (shape, step) in enumerate(shapes, start=1)
            )
            projected = stride > 1 or channels != out
            shortcut = Convolution(f"{prefix}.downsample.0", f"{prefix}.downsample.1", (out, channels, 1, 1), stride)
            result.append(Block(path, shortcut if projected else None))
            channels = out
    return result


def convolutions(architecture: Architecture) -> list[Convolution]:
    """Every convolution of the network."""
    layers = [stem()]
    for block in blocks(architecture):
        layers += [*block.path, *([block.shortcut] if block.shortcut else [])]
    return layers


def state_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that the graph takes from a state dict."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in convolutions(architecture):
        shapes[f"{layer.name}.weight"] = layer.shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{layer.bn}.{part}"] = layer.shape[:1]
    return shapes


def folded(layer: Convolution, weights: Weights) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel and bias of the convolution with its batch normalisation folded in (computed in float64)."""
    gamma, beta, mean, variance = (
        weights[f"{layer.bn}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + BN_EPSILON)
    kernel = weights[f"{layer.name}.weight"].astype(np.float64) * scale[:, None, None, None]
    return kernel.astype(np.float32), (beta - mean * scale).astype(np.float32)


Convolve = Callable[[str, Convolution], str]
"""Adds one convolution with its normalisation to a graph: name of the input, layer -> name of the output."""


class _Builder:
    """Collects nodes and initialisers of one graph; every method answers the name of its output."""

    def __init__(self, dtype: type[np.float32] | type[np.float16]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.outputs: list[tuple[str, int]] = []
        self.dtype = dtype

    @property
    def is_half(self) -> bool:
        return self.dtype is np.float16

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        array = np.ascontiguousarray(value, dtype=dtype or self.dtype)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def convolve(self, source: str, layer: Convolution, inputs: list[str]) -> str:
        size = layer.shape[2]
        return self.node(
            "Conv",
            [source, *inputs],
            f"{layer.name}.out",
            kernel_shape=[size, size],
            strides=[layer.stride] * 2,
            pads=[size // 2] * 4,
        )

    def preprocess(self) -> str:
        """uint8 NHWC 0..255 -> NCHW, normalised as torchvision's weights expect."""
        scale = self.constant("preprocess.scale", (1 / (255 * STD)).reshape(1, 3, 1, 1))
        shift = self.constant("preprocess.shift", (-MEAN / STD).reshape(1, 3, 1, 1))
        to = TensorProto.FLOAT16 if self.is_half else TensorProto.FLOAT
        # transposed as bytes, which is a quarter of the memory traffic of transposing floats
        planes = self.node("Transpose", [INPUT], "preprocess.planes", perm=[0, 3, 1, 2])
        values = self.node("Cast", [planes], "preprocess.values", to=to)
        scaled = self.node("Mul", [values, scale], "preprocess.scaled")
        return self.node("Add", [scaled, shift], "preprocess.out")

    def average(self, stage: str) -> str:
        """Mean of each channel over the picture, (n, c)."""
        return self.node("Flatten", [self.node("GlobalAveragePool", [stage], "avgpool")], "pooled")

    def statistics(self, stages: list[str]) -> str:
        """Mean and standard deviation of each stage's channels over the picture, joined: (n, 2 c of all stages).

        Of the first two stages every other row and column is taken: as a MaxPool of one pixel, which stays in int8 and
        leaves a quarter to be turned to floats. That halves what the readout costs."""
        axes = self.constant("readout.positions", [2, 3], np.int64)
        zero = self.constant("readout.zero", 0, np.float32)
        parts = []
        for number, stage in enumerate(stages):
            name, side = f"readout.stage{number + 1}", SIDE >> (2 + number)
            if number < THINNED_STAGES:
                stage = self.node("MaxPool", [stage], f"{name}.thinned", kernel_shape=[1, 1], strides=[2, 2])
                side //= 2
            if self.is_half:  # the squares would overflow
                stage = self.node("Cast", [stage], f"{name}.floats", to=TensorProto.FLOAT)
            share = self.constant(f"{name}.share", 1 / side**2, np.float32)
            mean = self.node("ReduceMean", [stage, axes], f"{name}.mean", keepdims=0)
            total = self.node("ReduceSumSquare", [stage, axes], f"{name}.total", keepdims=0)
            squared = self.node("Mul", [mean, mean], f"{name}.squared_mean")
            power = self.node("Mul", [total, share], f"{name}.power")
            variance = self.node("Max", [self.node("Sub", [power, squared], f"{name}.variance"), zero], f"{name}.safe")
            parts += [mean, self.node("Sqrt", [variance], f"{name}.deviation")]
        return self.node("Concat", parts, STATISTICS, axis=1)

    def project(self, statistics: str, readout: Readout) -> str:
        """The readout of joined statistics, in float32 whatever the rest is."""
        matrix = self.constant("readout.matrix", readout.matrix, np.float32)
        bias = self.constant("readout.bias", readout.bias, np.float32)
        return self.node("Gemm", [statistics, matrix, bias], FEATURES)

    def normalise(self, features: str) -> str:
        """L2-normalised rows; a zero row stays zero."""
        norm = self.node("ReduceL2", [features, self.constant("readout.axes", [1], np.int64)], "readout.norm")
        least = self.constant("readout.least", MIN_NORM, np.float32)
        safe = self.node("Max", [norm, least], "readout.safe_norm")
        return self.node("Div", [features, safe], OUTPUT)

    def finish(self, name: str, dimension: int) -> onnx.ModelProto:
        frames = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", SIDE, SIDE, 3])
        embeddings = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", dimension])
        others = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [size]) for output, size in self.outputs]
        graph = helper.make_graph(self.nodes, name, [frames], [embeddings, *others], self.initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="vidrec"
        )
        onnx.checker.check_model(model)
        return model


def build(arch: str, weights: Weights, *, half: bool = False, readout: Readout | None = None) -> onnx.ModelProto:
    """The encoder's graph: `frames` uint8 (n, 224, 224, 3) RGB -> `embeddings` float32 (n, d), L2-normalised.

    Without a readout, embeddings are the averages of the last stage. `half` computes in float16 up to what is pooled.
    `weights` must hold every tensor of `state_shapes`.
    """
    builder = _Builder(np.float16 if half else np.float32)
    stages = _network(builder, ARCHITECTURES[arch], _stored(builder, weights))
    if readout is None:
        builder.normalise(builder.node("Cast", [builder.average(stages[-1])], FEATURES, to=TensorProto.FLOAT))
        return builder.finish(arch, ARCHITECTURES[arch].dimension)
    builder.normalise(builder.project(builder.statistics(stages), readout))
    return builder.finish(arch, readout.dimension)


def build_stages(arch: str, weights: Weights) -> onnx.ModelProto:
    """What a readout is fitted on: `frames` -> `statistics` float32 (n, k), as `build` computes them; its blocks are
    those of `statistics_sizes`."""
    builder = _Builder(np.float32)
    statistics = builder.statistics(_network(builder, ARCHITECTURES[arch], _stored(builder, weights)))
    builder.node("Identity", [statistics], OUTPUT)
    return builder.finish(f"{arch}-stages", sum(statistics_sizes(arch)))


def statistics_sizes(arch: str) -> tuple[int, ...]:
    """Columns of each block of the statistics: means of the first stage, its deviations, means of the second, ..."""
    architecture = ARCHITECTURES[arch]
    return tuple((architecture.dimension >> (3 - stage)) for stage in range(4) for _ in range(2))


def _stored(builder: _Builder, weights: Weights) -> Convolve:
    """Convolutions with their stored batch normalisation folded in."""

    def convolution(source: str, layer: Convolution) -> str:
        kernel, bias = folded(layer, weights)
        inputs = [builder.constant(f"{layer.name}.weight", kernel), builder.constant(f"{layer.name}.bias", bias)]
        return builder.convolve(source, layer, inputs)

    return convolution


def build_statistics(arch: str, weights: Weights) -> onnx.ModelProto:
    """The same network with batch statistics instead of stored ones, as torch computes it in training mode; answers,
    beside the embeddings, `<bn>.running_mean` and `<bn>.running_var` of each layer over the batch."""
    builder = _Builder(np.float32)
    axes = builder.constant("axes", [0, 2, 3], np.int64)
    epsilon = builder.constant("epsilon", BN_EPSILON)

    def convolution(source: str, layer: Convolution) -> str:
        kernel = builder.constant(f"{layer.name}.weight", weights[f"{layer.name}.weight"])
        raw = builder.convolve(source, layer, [kernel])
        mean = builder.node("ReduceMean", [raw, axes], f"{layer.bn}.mean")
        centred = builder.node("Sub", [raw, mean], f"{layer.bn}.centred")
        squares = builder.node("Mul", [centred, centred], f"{layer.bn}.squares")
        variance = builder.node("ReduceMean", [squares, axes], f"{layer.bn}.variance")
        for part, value in (("running_mean", mean), ("running_var", variance)):
            name = f"{layer.bn}.{part}"
            builder.node("Squeeze", [value, axes], name)
            builder.outputs.append((name, layer.shape[0]))
        stable = builder.node("Add", [variance, epsilon], f"{layer.bn}.stable")
        deviation = builder.node("Sqrt", [stable], f"{layer.bn}.deviation")
        return builder.node("Div", [centred, deviation], f"{layer.bn}.out")

    stages = _network(builder, ARCHITECTURES[arch], convolution)
    builder.normalise(builder.node("Identity", [builder.average(stages[-1])], FEATURES))
    return builder.finish(f"{arch}-statistics", ARCHITECTURES[arch].dimension)


def _network(builder: _Builder, architecture: Architecture, convolution: Convolve) -> list[str]:
    """From frames to the outputs of the four stages, each (n, c, h, w)."""
    x = convolution(builder.preprocess(), stem())
    x = builder.node("Relu", [x], "relu")
    x = builder.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    ends = []
    for block in blocks(architecture):
        prefix = block.path[0].name.rpartition(".")[0]
        shortcut = convolution(x, block.shortcut) if block.shortcut else x
        for i, layer in enumerate(block.path, start=1):
            x = convolution(x, layer)
            if i < len(block.path):
                x = builder.node("Relu", [x], f"{prefix}.relu{i}")
        x = builder.node("Add", [x, shortcut], f"{prefix}.sum")
        x = builder.node("Relu", [x], f"{prefix}.out")
        ends.append(x)
    return [ends[count - 1] for count in itertools.accumulate(architecture.blocks)]
