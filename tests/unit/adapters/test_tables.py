"""Reading CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from vidrec.adapters.tables import read_table
from vidrec.domain.errors import InvalidInput


def csv(folder: Path, content: str | bytes) -> Path:
    file = folder / "t.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_csv_gives_numbered_rows(tmp_path: Path) -> None:
    file = csv(tmp_path, '\ufeffpath, title \r\na.mp4,"one, ""two""\nthree"\r\n\r\nb.mp4,\r\n')
    assert list(read_table(file)) == [
        (1, {"path": "a.mp4", "title": 'one, "two"\nthree'}),
        (2, {"path": "b.mp4", "title": None}),
    ]


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert list(read_table(csv(tmp_path, "path,title\n"))) == []


def test_a_csv_is_read_as_it_is_needed(tmp_path: Path) -> None:
    rows = read_table(csv(tmp_path, "a\n" + "1\n" * 5 + '"unclosed'))
    assert [next(rows)[0] for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(InvalidInput, match="row 6"):
        next(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; expected a header line"),
        ("a,b\n1\n", "row 1 has 1 cells, the header has 2"),
        ("a,b\n1,2\n1,2,3\n", "row 2 has 3 cells, the header has 2"),
        ("a,b,a\n1,2,3\n", "column 'a' is there twice"),
        (b"a\n\xff\xfe\n", "row 1 is no CSV in UTF-8"),
        ('a\n"x"y\n', "row 1 is no CSV in UTF-8"),
    ],
)
def test_a_bad_csv_is_named_with_its_row(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = csv(tmp_path, content)
    with pytest.raises(InvalidInput, match=message) as caught:
        list(read_table(file))
    assert str(caught.value).startswith(str(file))


def test_parquet_gives_the_same_with_its_own_types(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"path": ["a", ""], "n": [1, None], "tags": [["x", "y"], None]}), file)
    assert list(read_table(file)) == [
        (1, {"path": "a", "n": 1, "tags": ["x", "y"]}),
        (2, {"path": None, "n": None, "tags": None}),
    ]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"path,title\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.parquet"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"t\.parquet: cannot be read as Parquet") as caught:
        list(read_table(file))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_at_once(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(InvalidInput, match="no such file"):
            read_table(path)
