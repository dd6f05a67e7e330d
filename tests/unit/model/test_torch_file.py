"""Checkpoints are read without torch, and nothing in them can run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.torch_files import write_pickle, write_torch_file
from vidrec.domain.errors import InvalidModel
from vidrec.model.torch_file import read_torch_file

STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "half": np.linspace(-1, 1, 5, dtype=np.float16),
    "count": np.array(7, dtype=np.int64),
    "empty": np.zeros((0, 3), dtype=np.float32),
}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 1.6"])
def test_tensors_come_back(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write_torch_file(path, STATE, old=old)
    found = read_torch_file(path)
    assert list(found) == list(STATE)
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_containers_come_back(tmp_path: Path) -> None:
    write_torch_file(tmp_path / "weights.pth", STATE, wrap="state_dict")
    found = read_torch_file(tmp_path / "weights.pth")
    assert found["epoch"] == 3
    np.testing.assert_array_equal(found["state_dict"]["half"], STATE["half"])


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo this must never run",)


def test_nothing_can_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_pickle(tmp_path / "evil.pth", {"a": _Evil()})
    with pytest.raises(InvalidModel, match=r"it names \w+\.system"):
        read_torch_file(tmp_path / "evil.pth")
    assert "never run" not in capfd.readouterr().out


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 1.6"])
def test_damaged_files_are_one_sentence(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write_torch_file(path, STATE, old=old)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidModel, match="not a whole torch checkpoint of plain tensors") as error:
            read_torch_file(path)
        assert "\n" not in str(error.value)


def test_tensors_stay_within_their_storage(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write_torch_file(path, {"x": np.zeros((3, 5), dtype=np.float32)})
    # the size (3, 5) is pickled as two small integers: make it (9, 5)
    path.write_bytes(path.read_bytes().replace(b"K\x03K\x05", b"K\x09K\x05"))
    with pytest.raises(InvalidModel):
        read_torch_file(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="No such file"):
        read_torch_file(tmp_path / "nowhere.pth")
