"""`vidrec model activate`, `rollback`, `drop`: what they say where nothing can be changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiny_model import store_tiny_model
from vidrec.cli import main
from vidrec.model.library import keep_model
from vidrec.settings import load_settings
from vidrec.supervisor.system import System, locked, settings_of_running


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("activate", "m000000000000"), "no system runs on"),
        (("drop", "m000000000000"), "no system runs on"),
        (("rollback",), "there is no model version to go back to"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert run("model", *arguments, "--data", str(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {told}")
    assert error.count("\n") == 1


def test_the_list_tells_the_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = store_tiny_model(tmp_path / "models")
    assert run("model", "list", "--data", str(tmp_path), "--json") == 0
    [model] = json.loads(capsys.readouterr().out)
    assert (model["version"], model["role"]) == (folder.name, None)


def test_a_model_is_kept_among_the_models_once(tmp_path: Path) -> None:
    folder = store_tiny_model(tmp_path / "elsewhere")
    named_otherwise = folder.rename(folder.with_name("mine"))
    kept = keep_model(named_otherwise, tmp_path / "models")
    before = (kept / "model.onnx").stat().st_mtime_ns
    assert kept.name == folder.name
    assert keep_model(named_otherwise, tmp_path / "models") == kept == keep_model(kept, tmp_path / "models")
    assert (kept / "model.onnx").stat().st_mtime_ns == before
    (kept / "model.onnx").write_bytes(b"cut short")
    keep_model(named_otherwise, tmp_path / "models")
    assert (kept / "model.onnx").read_bytes() == (named_otherwise / "model.onnx").read_bytes()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [kept.name]


def test_a_running_system_is_found_by_its_folder(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data")
    assert settings_of_running(settings) is None
    with locked(settings.data_dir), System(settings, lambda _: None) as system:
        found = settings_of_running(settings)
        assert found is not None
        assert (found.milvus_uri, found.encoder_urls) == (system.settings.milvus_uri, system.settings.encoder_urls)
    assert settings_of_running(settings) is None
