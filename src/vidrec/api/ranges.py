"""Range and conditional requests (RFC 9110, sections 13 and 14), as pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to `end`, both included, of a whole that is longer than `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


class Unsatisfiable(Exception):
    """No byte of the range exists."""


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """What a Range header asks of `size` bytes; None for the whole. A header that cannot be read, of another unit or of
    several ranges is passed over, as the RFC allows. Unsatisfiable (416)."""
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return ByteRange(max(0, size - int(last)), size - 1)
    start, end = int(first), min(int(last) if last else size - 1, size - 1)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return ByteRange(start, end)


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names the ETag (weak comparison)."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in header.split(",")}


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether the Range header counts: no If-Range, or one that names the very same bytes."""
    return if_range is None or if_range.strip() == etag
