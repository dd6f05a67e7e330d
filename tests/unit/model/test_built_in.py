"""Weights that come with the package: here a small set of the same shape, so that what reads them is tested before and
after there are such weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from vidrec.domain.errors import InvalidModel
from vidrec.model import built_in
from vidrec.model.built_in import CARD_FILE, INT8_FILE, WEIGHTS_FILE, Card, default_weights
from vidrec.model.default import ensure_default_model
from vidrec.model.encoder import in_precision, untrained
from vidrec.model.export import export
from vidrec.model.fit import readout_of
from vidrec.model.frames import generated_frames
from vidrec.model.manifest import ONNX_FILE, canonical_vectors, load_model_dir, sha256_of
from vidrec.model.session import run_model
from vidrec.model.weights_file import encoded

FRAMES = generated_frames(64, seed=41)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    weights = untrained("resnet18", seed=7).weights
    readout = readout_of("resnet18", weights, FRAMES, dimension=48)
    notes = {"name": "built-in", "origin": "made for this test", "licence": "ours"}
    (folder / WEIGHTS_FILE).write_bytes(encoded(weights, readout, notes))
    onnx.save(in_precision("resnet18", weights, "int8", FRAMES[:16], readout=readout), folder / INT8_FILE)
    card = Card(
        arch="resnet18",
        origin=notes["origin"],
        licence="ours",
        readout="64 frames",
        dimension=48,
        step=1,
        pictures=2,
        sha256={name: sha256_of(folder / name) for name in (WEIGHTS_FILE, INT8_FILE)},
        canonical=canonical_vectors(folder / INT8_FILE, least_cosine=0.97),
    )
    (folder / CARD_FILE).write_text(card.model_dump_json())
    return folder


@pytest.fixture
def package(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_in, "FOLDER", shipped)


@pytest.mark.usefixtures("package")
def test_they_are_the_default(shipped: Path, tmp_path: Path) -> None:
    assert default_weights() == ("resnet18", "built-in")
    said: list[str] = []
    folder = ensure_default_model(tmp_path, said.append)
    manifest = load_model_dir(folder)
    assert manifest.name == "resnet18 built-in int8 stages 48"
    assert manifest.trained
    assert (manifest.weights, manifest.licence) == ("made for this test", "ours")
    assert manifest.onnx_sha256 == sha256_of(shipped / INT8_FILE), "the graph that was shipped, byte for byte"
    assert ensure_default_model(tmp_path, said.append) == folder
    assert len(said) == 1


@pytest.mark.usefixtures("package")
def test_other_precisions_come_of_the_same_weights(shipped: Path, tmp_path: Path) -> None:
    exact = run_model(export("resnet18", "built-in", tmp_path) / ONNX_FILE, FRAMES[:6])
    int8 = run_model(shipped / INT8_FILE, FRAMES[:6])
    assert exact.shape == (6, 48)
    assert (exact * int8).sum(axis=1).min() > 0.9
    with pytest.raises(InvalidModel, match="those of a resnet18, not of a resnet50"):
        export("resnet50", "built-in", tmp_path)


@pytest.mark.usefixtures("package")
def test_changed_bytes_are_refused(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (WEIGHTS_FILE, INT8_FILE, CARD_FILE):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    monkeypatch.setattr(built_in, "FOLDER", tmp_path)
    data = bytearray((tmp_path / INT8_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / INT8_FILE).write_bytes(data)
    with pytest.raises(InvalidModel, match="not those that were shipped"):
        ensure_default_model(tmp_path / "models")
    (tmp_path / CARD_FILE).write_text("{}")
    with pytest.raises(InvalidModel, match="no whole built-in weights"):
        export("resnet18", "built-in", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_package_without_weights_starts_untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_in, "FOLDER", tmp_path)
    assert default_weights() == ("resnet18", "untrained")
    with pytest.raises(InvalidModel, match="no whole built-in weights"):
        export("resnet18", "built-in", tmp_path / "models")


def test_what_is_shipped_is_whole_and_small() -> None:
    card = built_in.read_card()
    for name in card.sha256:
        assert (built_in.FOLDER / name).stat().st_size < 25_000_000
    frames = generated_frames(len(card.canonical.embeddings), seed=card.canonical.seed)
    found = run_model(built_in.FOLDER / INT8_FILE, frames)
    assert (found * np.array(card.canonical.embeddings)).sum(axis=1).min() >= card.canonical.least_cosine
    assert json.loads((built_in.FOLDER / CARD_FILE).read_text())["licence"].startswith("Apache-2.0")
