"""Texts that are signed with the secret of this installation."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vidrec.domain.errors import StoreUnavailable

SIGNATURE = "signature"


class Signer:
    """HMAC-SHA256 with a key that is derived for one purpose, so that what is signed for one is nothing for another.
    The secret is the given text, or 32 random bytes in the given file, which is made at the first use and readable by
    its owner alone. Any number of processes may share it. Thread-safe."""

    def __init__(self, secret: Path | str, purpose: str = "upload") -> None:
        self._source = secret
        self._purpose = purpose
        self._mac: hmac.HMAC | None = None

    def sign(self, method: str, path: str, parameters: Mapping[str, str]) -> str:
        """The signature, in hexadecimal digits; the parameter `signature` itself is left out of it."""
        lines = [method, path, *(f"{name}={parameters[name]}" for name in sorted(parameters) if name != SIGNATURE)]
        text = "\0".join(lines).encode("utf-8", "surrogatepass")
        mac = self._keyed().copy()  # a third of the time that a new one takes
        mac.update(text)
        return mac.hexdigest()

    def verify(self, method: str, path: str, parameters: Mapping[str, str]) -> bool:
        """Whether the parameter `signature` is that of the others; takes the same time wherever it differs."""
        given = parameters.get(SIGNATURE, "").encode("utf-8", "surrogatepass")
        return hmac.compare_digest(self.sign(method, path, parameters).encode(), given)

    def _keyed(self) -> hmac.HMAC:
        if self._mac is None:
            secret = self._source.encode() if isinstance(self._source, str) else _secret_in(self._source)
            key = hmac.digest(secret, f"vidrec {self._purpose}".encode(), "sha256")
            self._mac = hmac.new(key, digestmod="sha256")
        return self._mac


def _secret_in(file: Path) -> bytes:
    try:
        return _read_or_make(file)
    except OSError as error:
        raise StoreUnavailable(f"{file} cannot be read or made: {error.strerror}") from error


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
