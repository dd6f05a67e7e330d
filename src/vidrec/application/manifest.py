"""A catalogue of files in a table: what `vidrec ingest --manifest` takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vidrec.application.ingest import Source, text_of
from vidrec.domain.errors import InvalidInput

COLUMNS = ("path", "external_id", "title", "category", "tags", "url")
Row = tuple[int, Mapping[str, object]]
"""Number of the row, from 1, and its values by column; empty ones are None."""


def read_manifest(rows: Iterable[Row], *, folder: Path, category: str | None = None) -> list[Source]:
    """The files that a table names, in its order. Paths are relative to `folder`; tags are separated by `;`; the
    category defaults to the given one, then to the containing folder's name. InvalidInput names row and column, before
    anything happened."""
    sources = []
    seen: dict[str, int] = {}
    for number, row in rows:
        if unknown := sorted(set(row) - set(COLUMNS)):
            raise InvalidInput(
                f"column {unknown[0]!r} is not known; columns are {', '.join(COLUMNS)}", field=unknown[0]
            )
        name = row.get("path")
        if not name:
            raise InvalidInput(f"row {number}, path: expected the path of a video file", field="path")
        path = Path(os.path.abspath(folder / str(name)))
        if not path.is_file():
            raise InvalidInput(f"row {number}, path: there is no file {path}", field="path")
        external_id = _text(row.get("external_id"))
        if external_id in seen:
            raise InvalidInput(
                f"row {number}, external_id: {external_id!r} is also that of row {seen[external_id]}",
                field="external_id",
            )
        if external_id:
            seen[external_id] = number
        sources.append(
            Source(
                path=path,
                external_id=external_id,
                title=_text(row.get("title")),
                category=_text(row.get("category")) or category or text_of(path.parent.name) or None,
                tags=_tags(row.get("tags")),
                url=_text(row.get("url")),
            )
        )
    return sources


def _text(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None


def _tags(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else str(value or "").split(";")
    return tuple(dict.fromkeys(tag for part in parts if (tag := str(part).strip())))
