"""Static int8 quantisation (QDQ: quantise and dequantise nodes around each operator; Jacob et al. 2018,
arXiv:1712.05877), per channel for kernels."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from vidrec.domain.models import Frames
from vidrec.model.graph import INPUT

BATCH = 16


def quantize(model: onnx.ModelProto, calibration: Frames) -> onnx.ModelProto:
    """The same graph in int8, with value ranges taken from the calibration frames (uint8, (n, 224, 224, 3)).
    Preprocessing and the readout stay float."""
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root_level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # the library advises a pre-processing that folding made needless
        try:
            source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, source)
            quantize_static(
                source,
                target,
                _Reader(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Relu", "Add", "MaxPool", "GlobalAveragePool"],
                nodes_to_exclude=["preprocess.out"],
                per_channel=True,
                # 7 bits a weight: with 8, processors without VNNI saturate, and embeddings differ between machines.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            return onnx.load(target)
        finally:
            logging.root.setLevel(root_level)


class _Reader:
    """Feeds the calibration in batches, as onnxruntime's CalibrationDataReader asks for it."""

    def __init__(self, frames: Frames) -> None:
        self._batches = iter([frames[i : i + BATCH] for i in range(0, len(frames), BATCH)])

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
