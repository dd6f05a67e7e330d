"""Bodies of uploads on their way to the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from vidrec.adapters.local_store import below_new_folders
from vidrec.application.ports import ArrivedObject, ArrivedPart
from vidrec.domain.errors import AlreadyThere, InvalidInput, NotFound, StoreUnavailable, TooLarge

T = TypeVar("T", bound=ArrivedObject | ArrivedPart)


class Received:
    """What is known of the bytes so far."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


class IncomingFile(Generic[T]):
    """Implements Incoming: a hidden file that `place` gives its name. Held in memory is one piece at a time."""

    def __init__(
        self,
        file: Path,
        place: Callable[[Path, Received], T],
        *,
        limit: int,
        size: int | None = None,
        sha256: str | None = None,
    ) -> None:
        self._path = file
        self._place = place
        self._limit = limit
        self._expected_size = size
        self._expected_sha256 = sha256
        self._received = Received()
        with translated():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = file.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        received = self._received
        received.size += len(data)
        if self._expected_size is not None and received.size > self._expected_size:
            raise InvalidInput(f"the body is longer than the {self._expected_size} bytes signed", field="body")
        if received.size > self._limit:
            raise too_large(self._limit)
        received.digest.update(data)
        rest = memoryview(data)
        with translated():
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self) -> T:
        received = self._received
        if received.size == 0:
            raise empty()
        if self._expected_size not in (None, received.size):
            raise InvalidInput(f"the body has {received.size} bytes, {self._expected_size} were signed", field="body")
        if self._expected_sha256 not in (None, received.sha256):
            raise InvalidInput(
                f"sha256: the bytes have {received.sha256}, not the {self._expected_sha256} that was declared",
                field="sha256",
            )
        with translated():
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            done = self._place(self._path, received)
        self.discard()
        return done

    def discard(self) -> None:
        self._file.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def place(path: Path, part: Path, received: Received) -> ArrivedObject:
    """Gives the file its final name, unless there is one of that name: a link never replaces."""
    try:
        below_new_folders(path, lambda: os.link(part, path))
    except FileExistsError:
        raise already_there() from None
    except FileNotFoundError:
        raise ended() from None
    return ArrivedObject(size=received.size, etag=etag(path.stat()), sha256=received.sha256)


def place_part(number: int, part: Path, received: Received) -> ArrivedPart:
    """Gives the part its number; one of the same number goes."""
    tag = received.sha256[:32]
    final = part.with_name(f"{number:05d}-{tag}")
    try:
        part.replace(final)
    except FileNotFoundError:
        raise ended() from None
    for other in final.parent.glob(f"{number:05d}-*"):
        if other != final:
            other.unlink(missing_ok=True)
    return ArrivedPart(number=number, size=received.size, etag=tag)


def etag(status: os.stat_result) -> str:
    """Changes with the file."""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def empty() -> InvalidInput:
    return InvalidInput("the file is empty", field="body")


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"the file is larger than the {limit} bytes that are taken", field="body")


def already_there() -> AlreadyThere:
    return AlreadyThere("the file was uploaded before, and what is there stays: ask for a new address")


def ended() -> NotFound:
    return NotFound("the upload is not there any more: it was completed, ended or has expired")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the disk as ours."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"the upload cannot be kept: {error.strerror or error}") from error
