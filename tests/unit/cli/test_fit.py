"""`vidrec model fit` where there is nothing to fit on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vidrec.cli import main


def said(data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["model", "fit", "--weights", "untrained", "--data", str(data)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_no_library_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no library is there" in said(tmp_path / "data", capsys)
    assert not (tmp_path / "data").exists()


def test_an_empty_library_is_one_sentence(migrated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(migrated, tmp_path / "vidrec.db")
    assert "0 frames of its videos; expected at least 64" in said(tmp_path, capsys)
    assert not (tmp_path / "models").exists()
