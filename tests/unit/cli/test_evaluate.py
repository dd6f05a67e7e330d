"""`vidrec evaluate retrieval` on small pictures and a small encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny_model import store_tiny_model
from vidrec.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return store_tiny_model(tmp_path / "models")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for label, colour in (("red", (200, 20, 20)), ("blue", (20, 20, 200))):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (60, 60), tuple(c + 5 * number for c in colour)).save(folder / label / f"{number}.png")
    return folder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "retrieval", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_measures_as_json(model: Path, photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "red" / "broken.jpg").write_bytes(b"?")
    assert run(photographs, "--model", model, "--json") == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["retrieval"]["model"]["mean_average_precision"] == 1.0
    assert found["retrieval"]["chance"]["recall_at_1"] == pytest.approx(2 / 5)
    assert (found["items"], found["labels"], found["model"]) == (6, 2, model.name)
    assert "left out: " in said.err


def test_measures_as_a_table(model: Path, photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photographs, "--model", model) == 0
    said = capsys.readouterr().err
    assert all(word in said for word in ("chance", "colour histogram", "tiny", "mAP", "6 items of 2 kinds"))


def test_bad_input_is_one_sentence(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    for arguments, content, said in (
        ((tmp_path / "nowhere",), "", "cannot be read"),
        ((tmp_path / "models",), "", "0 folders hold two pictures"),
        ((photographs, "--half", "reporting"), "", "0 folders hold two pictures"),
        ((photographs, "--model", photographs), "", "expected a folder made by"),
        ((photographs, "--labels", tmp_path / "none.csv"), "", "no such file"),
        ((tmp_path / "nowhere", "--labels", labels), "file,category\n", "no such folder"),
        ((photographs, "--labels", labels), "name,category\na,b\n", "no column 'file'"),
        ((photographs, "--labels", labels), "file,category\na.mp4,b\n", "a.mp4 is not there"),
        ((photographs, "--labels", labels), "file,category\n", "none of its clips is in the all half"),
    ):
        labels.write_text(content)
        assert run(*(arguments if "--model" in arguments else (*arguments, "--model", model))) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1, error
