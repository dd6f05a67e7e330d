"""The readout of all stages inside the graph, and weights that bring one along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidrec.cli import main
from vidrec.domain.errors import InvalidInput, InvalidModel
from vidrec.model.encoder import Fitting, Source, in_precision, store_encoder, untrained
from vidrec.model.export import export, read_source
from vidrec.model.fit import readout_of
from vidrec.model.frames import generated_frames
from vidrec.model.graph import Weights, build, build_stages, statistics_sizes
from vidrec.model.manifest import LAST_STAGE, ONNX_FILE, load_model_dir
from vidrec.model.readout import Readout
from vidrec.model.session import run_model
from vidrec.model.weights_file import encoded

FRAMES = generated_frames(64, seed=31)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return untrained("resnet18").weights


@pytest.fixture(scope="module")
def readout(weights: Weights) -> Readout:
    return readout_of("resnet18", weights, FRAMES, dimension=64)


@pytest.fixture(scope="module")
def statistics(weights: Weights) -> np.ndarray:
    return run_model(build_stages("resnet18", weights), FRAMES[:8])


def test_statistics_are_means_and_deviations(statistics: np.ndarray) -> None:
    sizes = statistics_sizes("resnet18")
    assert sizes == (64, 64, 128, 128, 256, 256, 512, 512)
    assert sum(statistics_sizes("resnet50")) == 2 * (256 + 512 + 1024 + 2048)
    assert statistics.shape == (8, sum(sizes))
    assert (statistics >= 0).all(), "stages end with ReLU"
    assert (statistics[:, 64:128] > 0).any()


def test_the_graph_is_the_readout_of_its_statistics(weights: Weights, readout: Readout, statistics: np.ndarray) -> None:
    found = run_model(build("resnet18", weights, readout=readout), FRAMES[:8])
    assert found.shape == (8, 64)
    np.testing.assert_allclose(found, readout(statistics), atol=1e-5)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.999), ("int8", 0.95)])
def test_lower_precisions_stay_close(
    precision: str, least: float, weights: Weights, readout: Readout, statistics: np.ndarray
) -> None:
    graph = in_precision("resnet18", weights, precision, FRAMES[:16], readout=readout)  # type: ignore[arg-type]
    assert (run_model(graph, FRAMES[:8]) * readout(statistics)).sum(axis=1).min() >= least


def test_the_readout_stays_in_floats(weights: Weights, readout: Readout) -> None:
    graph = in_precision("resnet18", weights, "int8", FRAMES[:16], readout=readout).graph
    [projection] = [node for node in graph.node if node.op_type == "Gemm"]
    inputs = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert all(inputs[name] == 1 for name in projection.input[1:])  # 1: float32


def test_weights_bring_their_readout_along(weights: Weights, readout: Readout, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(encoded(weights, readout, {"name": "own", "origin": "made here", "licence": "ours"}))
    folder = export("resnet18", str(path), tmp_path / "models")
    manifest = load_model_dir(folder)
    assert (manifest.name, manifest.weights, manifest.licence) == ("resnet18 own fp32 stages 64", "made here", "ours")
    assert manifest.dimension == 64
    assert "whitened to 64" in manifest.readout
    exact = run_model(build("resnet18", weights, readout=readout), FRAMES[:4])
    assert (run_model(folder / ONNX_FILE, FRAMES[:4]) * exact).sum(axis=1).min() > 0.999
    last = load_model_dir(export("resnet18", str(path), tmp_path / "models", own_readout=False))
    assert (last.dimension, last.readout) == (512, LAST_STAGE)
    assert last.version != manifest.version


def test_a_readout_is_fitted_on_pictures_at_hand(weights: Weights, tmp_path: Path) -> None:
    fitting = Fitting(32, FRAMES, "pictures of holidays")
    source = Source(weights, "untrained", "random", "none", trained=False)
    folder = store_encoder("resnet18", source, tmp_path, "fp32", fitting=fitting)
    manifest = load_model_dir(folder)
    assert manifest.dimension == 32
    assert manifest.readout == "mean and deviation of four stages, whitened to 32: pictures of holidays"
    assert not manifest.trained


@pytest.mark.parametrize(("dimension", "frames", "said"), [(1, 64, "expected 2 to 1920"), (8, 3, "at least 64")])
def test_impossible_fits_are_refused(weights: Weights, dimension: int, frames: int, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        readout_of("resnet18", weights, FRAMES[:frames], dimension=dimension)


def test_files_that_are_no_weights_are_refused(weights: Weights, readout: Readout, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    whole = encoded(weights, readout, {})
    for content, said in (
        (b"nothing", "not a whole safetensors file"),
        (whole[: len(whole) // 2], "not a whole safetensors file"),
        (encoded({"conv1.weight": np.zeros((2, 2), np.float32)}, None, {}), "conv1.weight has shape"),
        (encoded(weights, Readout(readout.matrix, readout.bias[:3]), {}), "do not fit each other"),
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidModel, match=said) as error:
            read_source("resnet18", str(path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fit", "."], "--fit is for --readout stages"),
        (["--readout", "stages", "--fit", "/nowhere"], "--fit: /nowhere is no folder"),
        (["--readout", "stages", "--dimension", "9999"], "expected 2 to 1920"),
    ],
)
def test_bad_options_are_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["model", "export", "--weights", "untrained", "--out", str(tmp_path), *arguments])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
