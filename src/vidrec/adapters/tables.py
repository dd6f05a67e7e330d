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
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        number = 0
        try:
            if not reader.fieldnames:
                raise InvalidInput(
                    f"{path}: empty; expected a header line with the names of the columns", field=str(path)
                )
            for number, row in enumerate(reader, start=1):
                if None in row or None in row.values():
                    raise InvalidInput(
                        f"{path}: row {number} has not as many cells as the header ({len(reader.fieldnames)})",
                        field=str(path),
                    )
                yield number, {name: cell if cell != "" else None for name, cell in row.items()}
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path}: row {number + 1} is no CSV in UTF-8 ({error})", field=str(path)) from None


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(ROWS_A_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise InvalidInput(f"{path}: cannot be read as Parquet ({first})", field=str(path)) from None
