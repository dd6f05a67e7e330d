"""Files, what is in them, and the encoder that looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from vidrec.domain.models import Embeddings, Frames, MediaInfo, SampledFrames, TimeRange


class FrameSource(Protocol):
    """Looks into video files. Untrusted bytes are only ever decoded in a limited child process. UnusableMedia where the
    file is the problem."""

    def probe(self, path: Path) -> MediaInfo:
        """What the container says; `duration_s` is measured where the container does not say."""
        ...

    def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        """Frames spread evenly over the range, in order, in batches of at most `batch`, decoding as little as that
        takes. The child runs ahead of the consumer by a bounded number of frames and ends when the iterator is
        closed."""
        ...


class MediaStore(Protocol):
    """Bytes by location. A location is `file:///absolute/path` (the user's own file, read in place, never changed or
    deleted) or `media:///key` (kept by this store)."""

    def put(self, key: str, data: bytes) -> str:
        """Stores under a key (`[A-Za-z0-9._-]` and `/`), atomically, replacing; answers the location."""
        ...

    def read(self, location: str) -> bytes:
        """The whole object; NotFound."""
        ...

    def size(self, location: str) -> int:
        """In bytes; NotFound."""
        ...

    def local(self, location: str) -> AbstractContextManager[Path]:
        """A local file with these bytes, for the time of the block; NotFound."""
        ...

    def delete(self, prefix: str) -> int:
        """Removes every kept object whose key starts with the prefix; answers how many. `file:` locations are left
        alone."""
        ...


class Encoder(Protocol):
    """Frames in, embeddings out."""

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        """(n, 224, 224, 3) uint8 RGB -> (n, d) float32, rows L2-normalised, same order. ModelVersionMismatch where the
        encoder holds another version, Overloaded where it is full, EncoderUnavailable where it does not answer."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """model_version, dimension, provider and what else the encoder says of itself; EncoderUnavailable."""
        ...
