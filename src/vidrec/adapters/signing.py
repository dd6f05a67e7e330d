"""Addresses that are signed with a key of this installation."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vidrec.domain.errors import StoreUnavailable

SIGNATURE = "signature"


class Signer:
    """HMAC-SHA256 with a key of 32 random bytes in a file, which is made at the first use and readable by its owner
    alone. Any number of processes may share it. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key: bytes | None = None

    def sign(self, method: str, path: str, parameters: Mapping[str, str]) -> str:
        """The signature, in hexadecimal digits; the parameter `signature` itself is left out of it."""
        lines = [method, path, *(f"{name}={parameters[name]}" for name in sorted(parameters) if name != SIGNATURE)]
        text = "\0".join(lines).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret(), text, hashlib.sha256).hexdigest()

    def verify(self, method: str, path: str, parameters: Mapping[str, str]) -> bool:
        """Whether the parameter `signature` is that of the others; takes the same time wherever it differs."""
        given = parameters.get(SIGNATURE, "").encode("utf-8", "surrogatepass")
        return hmac.compare_digest(self.sign(method, path, parameters).encode(), given)

    def _secret(self) -> bytes:
        if self._key is None:
            try:
                self._key = _read_or_make(self._file)
            except OSError as error:
                raise StoreUnavailable(f"{self._file} cannot be read or made: {error.strerror}") from error
        return self._key


def _read_or_make(file: Path) -> bytes:
    """Where several processes make it at once, one of them wins: a link never replaces, so all read the same."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        output.write(secrets.token_bytes(32))
        output.flush()
        os.fsync(output.fileno())
    try:
        with suppress(FileExistsError):
            os.link(scratch, file)
    finally:
        scratch.unlink()
    return file.read_bytes()
