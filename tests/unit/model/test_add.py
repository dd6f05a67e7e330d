"""Other encoders: what is taken, and what is refused with one sentence and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.tiny_model import tiny_graph
from vidrec.domain.errors import InvalidModel
from vidrec.model.add import add_model
from vidrec.model.frames import generated_frames
from vidrec.model.manifest import ONNX_FILE, load_model_dir, to_model_version, verify
from vidrec.model.session import run_model


def add(path: Path, models: Path) -> Path:
    return add_model(path, models, name=None, licence="none", trained=True)


def test_an_encoder_that_meets_the_contract_is_taken(tmp_path: Path) -> None:
    onnx.save(tiny_graph(), tmp_path / "tiny.onnx")
    folder = add(tmp_path / "tiny.onnx", tmp_path / "models")
    manifest = load_model_dir(folder)
    assert folder.name == manifest.version == to_model_version(manifest).version
    assert manifest.dimension == 48
    assert manifest.name == "tiny"
    assert verify(folder) > 0.9999
    assert add(tmp_path / "tiny.onnx", tmp_path / "models") == folder


def test_vectors_of_any_length_are_normalised(tmp_path: Path) -> None:
    onnx.save(tiny_graph(normalised=False), tmp_path / "long.onnx")
    folder = add(tmp_path / "long.onnx", tmp_path / "models")
    embeddings = run_model(folder / ONNX_FILE, generated_frames(5, seed=1))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        (tiny_graph(dtype=TensorProto.FLOAT), "frames float"),
        (tiny_graph(shape=("n", 3, 224, 224)), "(n, 3, 224, 224)"),
        (tiny_graph(shape=("n", 256, 256, 3)), "(n, 256, 256, 3)"),
        (tiny_graph(shape=(1, 224, 224, 3)), "(1, 224, 224, 3)"),
        (tiny_graph(second_input=True), "2 inputs"),
        (tiny_graph(batch_mean=True), "beside it"),
        (tiny_graph(scale=float("nan")), "not finite"),
        (tiny_graph(scale=0.0, normalised=False), "zero"),
    ],
    ids=["float", "nchw", "larger", "fixed batch", "two inputs", "depends on the batch", "nan", "zero"],
)
def test_another_graph_is_refused(tmp_path: Path, graph: onnx.ModelProto, told: str) -> None:
    onnx.save(graph, tmp_path / "other.onnx")
    with pytest.raises(InvalidModel) as error:
        add(tmp_path / "other.onnx", tmp_path / "models")
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.parametrize("content", [b"", b"no onnx at all", b"\x08\x0a" * 40], ids=["empty", "text", "bytes"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(InvalidModel, match="expected one uint8 input"):
        add(tmp_path / "x.onnx", tmp_path / "models")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = tiny_graph().SerializeToString()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidModel):
        add(tmp_path / "cut.onnx", tmp_path / "models")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="no such file"):
        add(tmp_path / "nowhere.onnx", tmp_path / "models")
