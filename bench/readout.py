"""What the readout of all stages costs, in processor time of an encoder in int8 and float32.

python -m bench.readout
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import onnx
import onnxruntime as ort

from bench import report
from vidrec.model.encoder import Precision, in_precision, untrained
from vidrec.model.fit import DIMENSION
from vidrec.model.frames import generated_frames
from vidrec.model.graph import statistics_sizes
from vidrec.model.readout import Readout

ARCHITECTURE = "resnet18"
BATCH, ROUNDS = 32, 9
ACCEPT, AIM = 0.05, 0.03


def session(graph: onnx.ModelProto) -> ort.InferenceSession:
    """One thread, so that processor time is that of the work."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def costs_ms(sessions: dict[str, ort.InferenceSession], rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of processor time a frame, in turns; the median of the rounds."""
    frames = generated_frames(BATCH, seed=5)
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(rounds + 1):
        for name, one in sessions.items():
            began = time.process_time()
            one.run(None, {"frames": frames})
            if number:  # the first one warms up
                taken[name].append((time.process_time() - began) / BATCH * 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def encoders(precision: Precision) -> dict[str, ort.InferenceSession]:
    """The same network with either readout; what is in the matrix does not matter to its cost."""
    weights = untrained(ARCHITECTURE).weights
    width = sum(statistics_sizes(ARCHITECTURE))
    matrix = np.random.default_rng(0).normal(size=(width, DIMENSION)).astype(np.float32)
    readout = Readout(matrix, np.zeros(DIMENSION, np.float32))
    return {
        "last": session(in_precision(ARCHITECTURE, weights, precision)),
        "stages": session(in_precision(ARCHITECTURE, weights, precision, readout=readout)),
    }


def main() -> None:
    """Measures both precisions and writes the section."""
    rows = []
    for precision in ("int8", "fp32"):
        found = costs_ms(encoders(precision))
        more = found["stages"] / found["last"] - 1
        verdict = report.verdict(more, ACCEPT, AIM, lower_is_better=True)
        rows.append([precision, f"{found['last']:.2f}", f"{found['stages']:.2f}", verdict])
    report.write(
        "readout",
        f"## Readout\n\nMilliseconds of one core a frame, {ARCHITECTURE}, batches of {BATCH}: the mean of the last "
        f"stage beside the whitened statistics of all four ({DIMENSION} values). The last column is the share that is "
        "added.\n\n" + report.table(("precision", "last stage", "all stages", "more"), rows),
    )


if __name__ == "__main__":
    main()
