"""Pictures in folders that are their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidrec.adapters.labelled_pictures import read_labelled_pictures
from vidrec.domain.errors import InvalidInput
from vidrec.domain.halves import Half


def picture(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("cat", "dog", "watch"):
        for name in ("1.jpg", "sub/2.png"):
            picture(tmp_path / label / name)
    picture(tmp_path / "stray.jpg")
    picture(tmp_path / ".hidden" / "1.jpg")
    return tmp_path


def test_folders_are_labels(folder: Path) -> None:
    found = read_labelled_pictures(folder, field="folder")
    assert found.labels == ("cat", "cat", "dog", "dog", "watch", "watch")
    assert found.frames.shape == (6, 224, 224, 3)
    assert found.frames.dtype == np.uint8
    assert found.unreadable == ()


def test_halves_leave_out_labels(folder: Path) -> None:
    assert set(read_labelled_pictures(folder, field="folder", half=Half.TUNING).labels) == {"cat", "dog"}
    with pytest.raises(InvalidInput, match="1 folders hold two pictures or more"):
        read_labelled_pictures(folder, field="folder", half=Half.REPORTING)


def test_damaged_pictures_are_told_and_left_out(folder: Path) -> None:
    (folder / "dog" / "3.jpg").write_bytes(b"no picture")
    found = read_labelled_pictures(folder, field="folder")
    assert len(found.labels) == 6
    [sentence] = found.unreadable
    assert "3.jpg: file is not a picture" in sentence


def test_what_is_no_such_folder_is_one_sentence(tmp_path: Path) -> None:
    picture(tmp_path / "file.jpg")
    for path, said in (
        (tmp_path / "nowhere", "cannot be read"),
        (tmp_path / "file.jpg", "cannot be read"),
        (tmp_path, "0 folders hold two pictures or more; expected at least 2 folders"),
    ):
        with pytest.raises(InvalidInput, match=said) as error:
            read_labelled_pictures(path, field="folder")
        assert error.value.field == "folder"
