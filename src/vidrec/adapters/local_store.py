"""The media store as a folder."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

from vidrec.adapters.keys import check_key, check_prefix
from vidrec.application.ports import Presentation
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable

T = TypeVar("T")
_ATTEMPTS = 20
_SCHEME = "media:///"
_COPIED_BYTES = 1 << 20
_UNFINISHED = "~"
"""What the names of files begin with that are being written; no key does."""


class LocalStore:
    """Implements the MediaStore port. Objects are files below `root`, which is made at the first write. Any number of
    processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, key: str, data: bytes) -> str:
        return self.put_file(key, io.BytesIO(data))

    def put_file(self, key: str, file: IO[bytes]) -> str:
        path = self._path_of_key(key)
        try:
            below_new_folders(path, lambda: _write(path, file))
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
        return f"{_SCHEME}{key}"

    def read(self, location: str) -> bytes:
        path = self._file(location)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no file at {location}") from error
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from error

    def size(self, location: str) -> int:
        return self._stat(location).st_size

    @contextmanager
    def local(self, location: str) -> Iterator[Path]:
        yield self._file(location)

    def original(self, location: str) -> AbstractContextManager[Path]:
        return self.local(location)

    def link(self, location: str, presentation: Presentation, *, method: str, lifetime_s: float) -> None:
        self._stat(location)

    def delete(self, prefix: str) -> int:
        check_prefix(prefix)
        gone = self._of_prefix(prefix)
        for path in gone:
            path.unlink(missing_ok=True)
        for folder in sorted({folder for path in gone for folder in path.parents}, reverse=True):
            if self._root in folder.parents:
                _remove_if_empty(folder)
        return len(gone)

    def sweep(self, before: datetime) -> int:
        gone = 0
        for folder, inner, names in os.walk(self._root):
            inner[:] = [name for name in inner if not name.startswith(_UNFINISHED)]  # uploads have rules of their own
            for part in (Path(folder, name) for name in names if name.startswith(_UNFINISHED)):
                with suppress(OSError):  # finished, or taken away, at this moment
                    if part.stat().st_mtime < before.timestamp():
                        part.unlink()
                        gone += 1
        return gone

    def count(self, prefix: str) -> int:
        check_prefix(prefix)
        return len(self._of_prefix(prefix))

    def _file(self, location: str) -> Path:
        self._stat(location)
        return self._path(location)

    def _stat(self, location: str) -> os.stat_result:
        try:
            found = self._path(location).stat()
        except OSError as error:
            raise NotFound(f"there is no file at {location}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"there is no file at {location}: it is something else")
        return found

    def _path(self, location: str) -> Path:
        if location.startswith(_SCHEME):
            return self._path_of_key(location.removeprefix(_SCHEME))
        url = urlsplit(location)
        if url.scheme != "file" or url.netloc or url.query or url.fragment or not url.path.startswith("/"):
            raise InvalidInput(
                f"{location!r} is not a location: file:///absolute/path or media:///key", field="location"
            )
        path = unquote(url.path, errors="surrogateescape")
        if "\0" in path:
            raise InvalidInput(f"{location!r} is not a location: it holds a null character", field="location")
        return Path(path)

    def _path_of_key(self, key: str) -> Path:
        return path_of_key(self._root, key)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _of_prefix(self, prefix: str) -> list[Path]:
        return [path for path in self._below(prefix) if self._key(path).startswith(prefix)]

    def _below(self, prefix: str) -> list[Path]:
        """All objects in the folder that the prefix ends in."""
        folder = self._root / prefix.rpartition("/")[0]
        return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_UNFINISHED)]


def path_of_key(root: Path, key: str) -> Path:
    """The file of a key; InvalidInput where it is none."""
    check_key(key)
    return root / key


def below_new_folders(path: Path, write: Callable[[], T]) -> T:
    """What `write` answers, with the folder of `path` made before; again where a delete took it away empty."""
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return write()
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _write(path: Path, source: IO[bytes]) -> None:
    """All of it or nothing, also where the process is killed or the machine loses power."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_UNFINISHED, delete=False) as file:
        part = Path(file.name)
        try:
            source.seek(0)
            shutil.copyfileobj(source, file, _COPIED_BYTES)
            file.flush()
            os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
