"""The model that the first command starts with, untrained ones, and what is written beside a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vidrec.domain.errors import InvalidModel
from vidrec.model.default import ensure_default_model
from vidrec.model.encoder import in_precision
from vidrec.model.export import export
from vidrec.model.frames import generated_frames
from vidrec.model.graph import ARCHITECTURES, build, state_shapes
from vidrec.model.manifest import MANIFEST_FILE, ONNX_FILE, load_model_dir, stored_models, verify
from vidrec.model.session import run_model
from vidrec.model.untrained import untrained_weights


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model."""
    folder = tmp_path_factory.mktemp("models")
    export("resnet18", "untrained", folder, precision="int8")
    return folder


def graph_of(models: Path) -> Path:
    [folder] = stored_models(models)
    return folder / ONNX_FILE


def copied(models: Path, tmp_path: Path) -> Path:
    source = next(iter(stored_models(models)))
    target = tmp_path / source.name
    target.mkdir()
    for name in (ONNX_FILE, MANIFEST_FILE):
        (target / name).write_bytes((source / name).read_bytes())
    return target


def test_the_default_is_made_once_of_the_built_in_weights(tmp_path: Path) -> None:
    said: list[str] = []
    folder = ensure_default_model(tmp_path, said.append)
    assert len(said) == 1
    assert ensure_default_model(tmp_path, said.append) == folder
    assert len(said) == 1
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    manifest = load_model_dir(folder)
    assert (manifest.architecture, manifest.precision, manifest.dimension) == ("resnet18", "int8", 512)
    assert manifest.trained
    assert "built-in" in manifest.name
    assert verify(folder) > 0.999


def test_the_manifest_says_what_it_is(models: Path) -> None:
    folder = graph_of(models).parent
    manifest = load_model_dir(folder)
    assert (manifest.architecture, manifest.precision, manifest.dimension) == ("resnet18", "int8", 512)
    assert not manifest.trained
    assert manifest.version == folder.name
    assert verify(folder) > 0.999


def test_embeddings_are_of_length_1_and_each_frame_by_itself(models: Path) -> None:
    graph = graph_of(models)
    frames = generated_frames(5, seed=9)
    together = run_model(graph, frames)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(run_model(graph, frames[3:4])[0], together[3], atol=1e-5)


def test_int8_and_fp16_stay_close_to_float(models: Path) -> None:
    weights = untrained_weights("resnet18", seed=0)
    frames = generated_frames(8, seed=10)
    exact = run_model(build("resnet18", weights), frames)
    half = run_model(in_precision("resnet18", weights, "fp16"), frames)
    int8 = run_model(graph_of(models), frames)
    assert (exact * half).sum(axis=1).min() > 0.9999
    assert (exact * int8).sum(axis=1).min() > 0.98


def test_unlike_pictures_are_further_apart_than_like_ones(models: Path) -> None:
    graph = graph_of(models)
    frames = generated_frames(12, seed=12)
    shifted = np.roll(frames, 12, axis=2)
    a, b = run_model(graph, frames), run_model(graph, shifted)
    same = (a * b).sum(axis=1)
    others = (a @ b.T)[~np.eye(12, dtype=bool)]
    assert same.min() > np.percentile(others, 90)


def test_the_same_seed_gives_the_same_kernels() -> None:
    first, second, other = (untrained_weights("resnet18", seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["conv1.weight"], other["conv1.weight"])
    assert {name: value.shape for name, value in first.items()} == state_shapes(ARCHITECTURES["resnet18"])


def test_a_changed_graph_is_refused(models: Path, tmp_path: Path) -> None:
    folder = copied(models, tmp_path)
    data = bytearray((folder / ONNX_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ONNX_FILE).write_bytes(data)
    with pytest.raises(InvalidModel, match="not those that the manifest was written for"):
        load_model_dir(folder)


def test_a_manifest_of_another_release_is_refused(models: Path, tmp_path: Path) -> None:
    folder = copied(models, tmp_path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "version": "m000000000000"}))
    with pytest.raises(InvalidModel, match="export or add the model again"):
        load_model_dir(folder)
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "dimension": "many"}))
    with pytest.raises(InvalidModel, match="dimension"):
        load_model_dir(folder)


def test_other_vectors_than_the_manifests_are_noticed(models: Path, tmp_path: Path) -> None:
    folder = copied(models, tmp_path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["canonical"]["embeddings"].reverse()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(InvalidModel, match="canonical vectors differ"):
        verify(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="expected a folder made by"):
        load_model_dir(tmp_path)
