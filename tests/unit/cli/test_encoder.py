"""`vidrec encoder`: what it starts, and what it refuses before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.tiny_model import store_tiny_model
from vidrec.cli import main


class Started(Exception):
    """In place of becoming another process."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[str], dict[str, str]]]:
    calls: list[tuple[str, Sequence[str], dict[str, str]]] = []

    def become(file: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        calls.append((file, arguments, environment))
        raise Started

    monkeypatch.setattr(os, "execvpe", become)
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    return calls


def test_it_becomes_the_service(
    started: list[tuple[str, Sequence[str], dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = store_tiny_model(tmp_path / "models")
    monkeypatch.setenv("VIDREC_ENCODER_MODEL", str(model))
    monkeypatch.setenv("VIDREC_ENCODER_PORT", "4001")
    monkeypatch.setenv("VIDREC_DRAIN_S", "2.5")
    with pytest.raises(Started):
        main(["encoder", "--data", str(tmp_path / "data"), "--host", "0.0.0.0"])
    [(file, arguments, environment)] = started
    said = " ".join(arguments)
    assert file == arguments[0]
    assert "-m bentoml serve bento.encoder:Encoder" in said
    assert said.endswith("--host 0.0.0.0 --port 4001 --timeout-graceful-shutdown 3")
    assert environment["VIDREC_ENCODER_MODEL"] == str(model)
    assert environment["BENTOML_HOME"] == str(tmp_path / "data" / "bentoml")
    assert Path(environment["BENTOML_HOME"]).is_dir()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "VIDREC_ENCODER_MODEL: Field required"),
        ({"VIDREC_ENCODER_MODEL": "nowhere"}, "nowhere: expected a folder made by `vidrec model export`"),
        ({"VIDREC_ENCODER_MODEL": "m", "VIDREC_ENCODER_PORT": "0"}, "VIDREC_ENCODER_PORT: Input should be greater"),
        ({"VIDREC_ENCODER_MODEL": "m", "VIDREC_LOG_FORMAT": "xml"}, "VIDREC_LOG_FORMAT: "),
        ({"VIDREC_ENCODER_MODLE": "m"}, "VIDREC_ENCODER_MODLE is not a setting of the encoder"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_starts(
    variables: dict[str, str],
    said: str,
    started: list[tuple[str, Sequence[str], dict[str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("VIDREC_ENCODER_MODEL", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exit_:
        main(["encoder", "--data", str(tmp_path)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert not started
