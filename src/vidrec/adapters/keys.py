"""The keys of objects that vidrec keeps, in a folder as in a bucket."""

from __future__ import annotations

import re

from vidrec.domain.errors import InvalidInput

_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


def check_key(key: str) -> None:
    """InvalidInput where it is none."""
    if not _is_key(key):
        raise InvalidInput(f"{key!r} is not a key: letters, digits, '.', '_', '-', parted by '/'", field="key")


def check_prefix(prefix: str) -> None:
    """InvalidInput where no key begins so."""
    if not _is_key(prefix.rstrip("/")):
        raise InvalidInput(f"{prefix!r} is not the start of a key", field="prefix")


def _is_key(key: str) -> bool:
    return bool(_KEY.fullmatch(key)) and {".", ".."}.isdisjoint(key.split("/"))
