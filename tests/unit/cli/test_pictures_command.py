"""`vidrec model pictures`"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vidrec.cli import main
from vidrec.model.pictures import SIDE


def test_the_contact_sheet_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sheet.png"
    main_exits_with(0, ["model", "pictures", "--out", str(target), "--rows", "2", "--columns", "3"])
    with Image.open(target) as sheet:
        assert sheet.size == (3 * (2 * SIDE + 2), 2 * (SIDE + 2))
    assert "6 programs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"), [("sheet.txt", "ends in none of"), ("nowhere/sheet.png", "cannot be written")]
)
def test_an_impossible_sheet_is_one_sentence(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main_exits_with(2, ["model", "pictures", "--out", str(tmp_path / name), "--rows", "1", "--columns", "1"])
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def main_exits_with(code: int, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == code
