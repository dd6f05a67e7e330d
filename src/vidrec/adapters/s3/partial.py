"""A remote object as a local file whose bytes are fetched when they are asked for.

The file is sparse and has no name, so that nothing of it is left however this process ends. What was not asked for
longest is taken out again (its blocks become holes) once more than a bound is held.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from vidrec.adapters.s3.client import translated
from vidrec.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from vidrec.adapters.s3.client import S3
    from vidrec.adapters.s3.locations import Located

BLOCK = 1 << 20
_MOST_AHEAD = 16
"""Blocks: what is read in order is fetched in growing pieces up to this one."""
_LEAST_HELD = 4 * _MOST_AHEAD
_PIECE = 1 << 18
_ATTEMPTS = 3
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

Fetch = Callable[[int, int], Iterator[bytes]]
"""The bytes [start, stop) of an object, in pieces."""


class RemoteFile:
    """Implements PartialFile. `fetch` brings ranges; `scratch` is a folder with room for `max_bytes`, or for the whole
    where `fill_all` is called. Close it at the end."""

    def __init__(self, fetch: Fetch, size: int, *, scratch: Path, max_bytes: int) -> None:
        self._fetch = fetch
        self._size = size
        self._most = max(_LEAST_HELD, max_bytes // BLOCK)
        self._held: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead = 1
        self._next = 0
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115 (closed by `close`)
            os.ftruncate(self._file.fileno(), size)
        except OSError as error:
            raise StoreUnavailable(f"no file can be made in {scratch}: {error.strerror}") from error

    @property
    def path(self) -> Path:
        folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
        return Path(folder, str(self._file.fileno()))

    def fill(self, start: int, stop: int) -> None:
        first, last = start // BLOCK, (min(stop, self._size) - 1) // BLOCK
        with self._lock:
            block = first
            while block <= last:
                if block in self._held:
                    self._held.move_to_end(block)
                    block += 1
                else:
                    block = self._bring(block, last)
            self._let_go()

    def fill_all(self) -> None:
        """Fetches all that is missing."""
        self._most = max(self._most, -(-self._size // BLOCK))
        self.fill(0, self._size)

    def close(self) -> None:
        """Leaves nothing behind."""
        self._file.close()

    def _bring(self, block: int, last: int) -> int:
        """Fetches from this block on what is missing in one go, and answers the block after."""
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if block == self._next else 1
        wanted = max(last, block + self._ahead - 1)
        stop = block
        while stop <= wanted and stop * BLOCK < self._size and stop not in self._held and stop - block < _MOST_AHEAD:
            stop += 1
        self._write(block * BLOCK, min(stop * BLOCK, self._size))
        self._held.update(dict.fromkeys(range(block, stop)))
        self._next = stop
        return stop

    def _write(self, start: int, stop: int) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                for piece in self._fetch(start, stop):
                    self._put(piece, start)
                    start += len(piece)
                if start == stop:
                    return
                problem = "it sent less than was asked for"
            except HTTPError as error:  # the connection broke off within the body
                problem = str(error)
            except StoreUnavailable as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                problem = str(error)
        raise StoreUnavailable(f"the object store does not send its bytes: {problem}")

    def _put(self, piece: bytes, at: int) -> None:
        try:
            while piece:
                written = os.pwrite(self._file.fileno(), piece, at)
                piece, at = piece[written:], at + written
        except OSError as error:
            raise StoreUnavailable(f"what is read of a video cannot be kept for now: {error.strerror}") from error

    def _let_go(self) -> None:
        while len(self._held) > self._most:
            block, _ = self._held.popitem(last=False)
            _punch(self._file.fileno(), block * BLOCK, BLOCK)


def ranges_of(s3: S3, place: Located) -> Fetch:
    """Fetches ranges of an object; NotFound where another one is there by then."""

    def fetch(start: int, stop: int) -> Iterator[bytes]:
        with translated():
            body = s3.client.get_object(**place.bound, Range=f"bytes={start}-{stop - 1}")["Body"]
            try:
                yield from body.iter_chunks(_PIECE)
            finally:
                body.close()

    return fetch


def _punch(fd: int, start: int, length: int) -> None:
    """Makes a hole, where the file system can: else the bytes just stay."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(length))
