"""Uploads: what is promised when an address is signed, which names are kept, how large a part is."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vidrec.domain.models import VideoStatus

MIN_PART = 8 << 20
MAX_PARTS = 10_000
"""Of one object, as S3 has it."""
_MIB = 1 << 20

# Controls, surrogates, and the marks that turn the direction of a text round (`gpj.exe` shown as `exe.jpg`).
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Stage(StrEnum):
    """How far a video is on its way to being recommendable, finer than its status. Values are part of the API."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    DECODING = "decoding"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (Stage.INDEXED, Stage.FAILED)


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """How far the processing of one video is."""

    stage: Stage
    done: int | None = None
    """Seconds of the video that were decoded."""
    total: int | None = None
    """Its length in seconds; None where it is not known."""
    ranges_done: int | None = None
    """Of a video that is split by time, so many ranges are done."""
    ranges_total: int | None = None


def progress_of(status: VideoStatus, noted: VideoProgress | None) -> VideoProgress:
    """What a video's status and its worker's last note say together: notes count while it is processed."""
    if status is VideoStatus.PROCESSING:
        return noted or VideoProgress(Stage.DECODING)
    return VideoProgress(Stage(status.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Bytes that were announced, and the place where they are to arrive."""

    id: str
    video_id: str
    bucket: str
    key: str
    size: int | None
    """In bytes, where it was declared."""
    sha256: str | None
    part_size: int | None
    """Of all parts but the last; None for an upload in one piece."""
    store_id: str | None
    """The store's own name of an upload in parts."""
    created_at: datetime
    expires_at: datetime
    arrived_at: datetime | None
    etag: str | None = None
    """The store's, of the object that was taken in: another one under the same key is not ours."""
    key_id: str | None = None
    """The key that it was announced with."""

    @property
    def parts(self) -> int:
        """Number of parts; 1 for an upload in one piece."""
        return 1 if self.part_size is None or self.size is None else -(-self.size // self.part_size)

    def size_of(self, number: int) -> int:
        """Bytes of part `number`, from 1."""
        assert self.part_size is not None
        assert self.size is not None
        return min(self.part_size, self.size - (number - 1) * self.part_size)


def part_size(size: int) -> int:
    """The size of a part, in whole MiB: as small as the number of parts allows."""
    least = -(-size // MAX_PARTS)
    return max(MIN_PART, -(-least // _MIB) * _MIB)


def shown_name(name: str) -> str:
    """A file's name without its folders and without what cannot be shown, Unicode composed; empty where nothing is
    left."""
    last = re.split(r"[/\\]", name)[-1]
    return unicodedata.normalize("NFC", _UNSHOWN.sub("", last)).strip()


def suffix(name: str) -> str:
    """What follows the last dot, lower case, with the dot; empty where there is none."""
    _, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot else ""
