"""Tables from files: CSV and Parquet, a row at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from vidrec.domain.errors import InvalidInput

ROWS_A_BATCH = 1000


def read_table(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(number of the row from 1, values by column) in order; empty cells are None. Parquet where the name ends so,
    otherwise CSV with a header line, UTF-8. InvalidInput names the file and, where it can, the row."""
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file", field=str(path))
    return _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = _columns(path, next(reader, []))
            for cells in reader:
                if not cells:  # an empty line
                    continue
                number += 1
                if len(cells) != len(columns):
                    raise InvalidInput(
                        f"{path}: row {number} has {len(cells)} cells, the header has {len(columns)}", field=str(path)
                    )
                yield number, {name: cell or None for name, cell in zip(columns, cells, strict=True)}
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: row {number + 1} is no CSV in UTF-8 ({error})", field=str(path)) from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})", field=str(path)) from None


def _columns(path: Path, header: list[str]) -> list[str]:
    if not header:
        raise InvalidInput(f"{path}: empty; expected a header line with the names of the columns", field=str(path))
    columns = [name.strip() for name in header]
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise InvalidInput(f"{path}: column {twice[0]!r} is there twice", field=str(path))
    return columns


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(ROWS_A_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: None if value == "" else value for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise InvalidInput(f"{path}: cannot be read as Parquet ({first})", field=str(path)) from None
