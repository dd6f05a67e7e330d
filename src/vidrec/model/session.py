"""Running a graph once, on the CPU: for calibration, canonical vectors and checks. Serving has a session of its own
(`vidrec.adapters.onnx_encoder`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from vidrec.domain.models import Frames

BATCH = 16


def run_model(model: onnx.ModelProto | Path, frames: Frames) -> npt.NDArray[np.float32]:
    """The graph's first output for the frames, shape (n, d)."""
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: frames[i : i + BATCH]})[0] for i in range(0, len(frames), BATCH)]
    result: npt.NDArray[np.float32] = np.concatenate(parts)
    return result
