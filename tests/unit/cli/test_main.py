"""The command itself: exit codes, errors in one line, generated documentation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidrec.cli import COMMANDS, main
from vidrec.cli.settings import reference

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = "import sys; from vidrec.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += (
        "heavy = {'sqlalchemy', 'pymilvus', 'onnx', 'fastapi', 'bentoml'} & set(sys.modules)\nprint('heavy:', heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.endswith("heavy: set()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert name in capsys.readouterr().out


def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDREC_PORT", "x")
    assert run("settings") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: VIDREC_PORT")
    assert error.count("\n") == 1


def test_a_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VIDREC_PROT", "3000")
    assert run("settings") == 2
    assert "VIDREC_PROT is not a setting" in capsys.readouterr().err


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VIDREC_MILVUS_TOKEN", "root:pa55")
    assert run("settings", "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out)["milvus_token"] == "***"
    assert "pa55" not in out


def test_the_documented_settings_are_the_settings() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == reference()


def test_migrate_makes_the_database_and_is_safe_to_run_twice(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    assert run("migrate", "--data", str(data)) == 0
    assert run("migrate", "--data", str(data)) == 0
    assert (data / "vidrec.db").is_file()


@pytest.mark.parametrize("name", ["api", "worker", "encoder", "migrate", "sweep"])
def test_every_process_refuses_a_misspelt_setting(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDREC_LEASES_S", "3")
    assert run(name, "--data", str(tmp_path / "data")) == 2
    assert (
        capsys.readouterr().err
        == "error: VIDREC_LEASES_S is not a setting; known ones are listed in docs/settings.md\n"
    )
    assert not (tmp_path / "data").exists()


def test_a_sweep_removes_what_was_left_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = [tmp_path / "media" / name for name in ("~uploads/left", "pictures/~unfinished")]
    for file in left:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        os.utime(file, (0, 0))
    assert run("sweep", "--data", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "arrived": 0, "withdrawn": 0, "leftovers": 1, "unfinished": 1, "recommendations": 0, "jobs": 0,
    }  # fmt: skip
    assert not any(file.exists() for file in left)
    assert run("sweep", "--data", str(tmp_path)) == 0
    assert capsys.readouterr().err == (
        "0 had arrived, 0 withdrawn, 0 leftovers removed; 0 old recommendations and 0 old jobs forgotten\n"
    )


def test_uploads_are_swept_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = tmp_path / "media" / "~uploads" / "left"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    os.utime(left, (0, 0))
    assert run("uploads", "sweep", "--data", str(tmp_path), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"arrived": 0, "withdrawn": 0, "leftovers": 1}
    assert not left.exists()
    assert run("uploads", "sweep", "--data", str(tmp_path)) == 0
    assert capsys.readouterr().err == "0 had arrived, 0 withdrawn, 0 leftovers removed\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUCKETS", "[]"),
        ("BUCKETS", '["A"]'),
        ("BUCKETS", '["../x"]'),
        ("UPLOAD_SUFFIXES", '[".mp4"]'),
        ("UPLOAD_URL_S", "901"),
        ("MAX_UPLOAD_BYTES", "0"),
    ],
)
def test_settings_of_uploads_are_checked(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"VIDREC_{name}", value)
    assert run("settings") == 2
    assert capsys.readouterr().err.startswith(f"error: VIDREC_{name}")
