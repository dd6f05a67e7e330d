"""Opaque page cursors: where to go on in a recommendation record or in a listing."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from vidrec.domain.errors import InvalidCursor

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_OFFSET = 100_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position within something that has an id."""

    id: str
    offset: int = 0

    def encode(self) -> str:
        """URL-safe text; `decode` gives it back."""
        return base64.urlsafe_b64encode(f"{self.id}.{self.offset}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """InvalidCursor where the text was not made by `encode`."""
        try:
            padded = text + "=" * (-len(text) % 4)
            name, _, offset = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(".")
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        if not _UUID.fullmatch(name) or not offset.isdecimal() or int(offset) > _MAX_OFFSET:
            raise InvalidCursor
        return cls(name, int(offset))
