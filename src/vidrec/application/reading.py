"""Reading originals from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidrec.application.ports import Original


def pieces(original: Original, size: int) -> Iterator[bytes]:
    """The bytes in pieces of `size`; of a file that comes as it is read, each is fetched when it is asked for."""
    path, fill = (original, None) if isinstance(original, Path) else (original.path, original.fill)
    with path.open("rb", buffering=0) as file:
        at = 0
        while True:
            if fill is not None:
                fill(at, at + size)
            data = file.read(size)
            if not data:
                return
            yield data
            at += len(data)
