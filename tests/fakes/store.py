"""A media store in memory; `file:` locations are read from the disk, as by every store."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from vidrec.application.ports import Presentation
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable

_KEY = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class FakeStore:
    """Implements the MediaStore port. `objects` maps keys to bytes; with `available` set to False every call raises
    StoreUnavailable."""

    def __init__(self) -> None:
        self.available = True
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> str:
        self._check()
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise InvalidInput(f"{key!r} is not a key", field="key")
        self.objects[key] = bytes(data)
        return f"media:///{key}"

    def put_file(self, key: str, file: IO[bytes]) -> str:
        file.seek(0)
        return self.put(key, file.read())

    def read(self, location: str) -> bytes:
        self._check()
        if location.startswith("media:///"):
            key = location.removeprefix("media:///")
            if key not in self.objects:
                raise NotFound(f"there is nothing at {location}")
            return self.objects[key]
        path = _path_of(location)
        if not path.is_file():
            raise NotFound(f"there is nothing at {location}")
        return path.read_bytes()

    def size(self, location: str) -> int:
        return len(self.read(location))

    @contextmanager
    def local(self, location: str) -> Iterator[Path]:
        data = self.read(location)
        if location.startswith("file:///"):
            yield _path_of(location)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / location.rsplit("/", 1)[-1]
            path.write_bytes(data)
            yield path

    def original(self, location: str) -> AbstractContextManager[Path]:
        return self.local(location)

    def link(self, location: str, presentation: Presentation, *, method: str, lifetime_s: float) -> None:
        self.size(location)

    def delete(self, prefix: str) -> int:
        self._check()
        gone = [key for key in self.objects if key.startswith(prefix)]
        for key in gone:
            del self.objects[key]
        return len(gone)

    def sweep(self, before: datetime) -> int:
        return 0

    def count(self, prefix: str) -> int:
        self._check()
        return sum(key.startswith(prefix) for key in self.objects)

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable("the media store does not answer: switched off by the test")


def _path_of(location: str) -> Path:
    if not location.startswith("file:///"):
        raise InvalidInput(f"{location!r} is not a location", field="location")
    return Path(unquote(urlsplit(location).path, errors="surrogateescape"))
