"""Files, what is in them, and the encoder that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol

from vidrec.domain.models import Embeddings, Frames, MediaInfo, SampledFrames, TimeRange
from vidrec.domain.playback import Rendering


class PartialFile(Protocol):
    """A local file of its full length whose bytes come as they are asked for: what was not filled reads as zeros."""

    @property
    def path(self) -> Path: ...

    def fill(self, start: int, stop: int) -> None:
        """Returns when the bytes [start, stop) are there. NotFound where the object is not there any more, or is
        another one; StoreUnavailable. Thread-safe."""
        ...


Original = Path | PartialFile
"""A file to look into: there as a whole, or filled while it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How a store is to present an object to whoever follows a link."""

    content_type: str
    disposition: str
    """Value of the Content-Disposition header."""


class FrameSource(Protocol):
    """Looks into video files. Untrusted bytes are only ever decoded in a limited child process. UnusableMedia where the
    file is the problem."""

    def probe(self, path: Original) -> MediaInfo:
        """What the container says; `duration_s` is measured where the container does not say."""
        ...

    def sample(self, path: Original, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        """Frames spread evenly over the range, in order, in batches of at most `batch`, decoding as little as that
        takes. The child runs ahead of the consumer by a bounded number of frames and ends when the iterator is
        closed."""
        ...


class Renderer(Protocol):
    """Makes copies that browsers play, in a limited child process that gives way to others."""

    def render(
        self, path: Original, info: MediaInfo, how: Rendering, *, check: Callable[[], None]
    ) -> AbstractContextManager[IO[bytes]]:
        """The finished copy, to be read for the time of the block; nothing is left of it after. `check` is called all
        along, and what it raises ends the work. UnusableMedia where no copy that plays can be made in this way,
        StoreUnavailable where there is no room."""
        ...


class MediaStore(Protocol):
    """Bytes by location. A location is `file:///absolute/path` (the user's own file, read in place, never changed or
    deleted), `media:///key` (kept by this store) or, with an S3 store, `s3://bucket/key`, percent-encoded, with the
    `?etag=` or `?versionId=` that it is bound to: another object under that key is NotFound."""

    def put(self, key: str, data: bytes) -> str:
        """Stores under a key (`[A-Za-z0-9._-]` and `/`), atomically, replacing; answers the location."""
        ...

    def put_file(self, key: str, file: IO[bytes]) -> str:
        """As `put`, from the beginning of an open file to its end, of which little is in memory at a time."""
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

    def original(self, location: str) -> AbstractContextManager[Original]:
        """The same to be looked into, for the time of the block: only what is read of it needs to come. NotFound."""
        ...

    def link(self, location: str, presentation: Presentation, *, method: str, lifetime_s: float) -> str | None:
        """An absolute address where anybody can GET (or HEAD, by `method`) the object for that time; None where this
        service must send it. NotFound."""
        ...

    def delete(self, prefix: str) -> int:
        """Removes every kept object whose key starts with the prefix, in all its versions; answers how many. Locations
        that are the user's own are left alone."""
        ...

    def sweep(self, before: datetime) -> int:
        """Removes what writes that were cut short before then have left behind; answers how many."""
        ...

    def count(self, prefix: str) -> int:
        """How many objects there are that `delete` would remove: a look into the store, not into what is known of
        it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """An object of somebody's library."""

    location: str
    """Of this very object: another one under its key has another location."""
    key: str
    size: int


class ObjectLibrary(Protocol):
    """Libraries that are in an object store."""

    def list(self, url: str) -> Iterator[ListedObject]:
        """All objects below `s3://bucket/prefix`, by key, as they come. InvalidInput; StoreUnavailable."""
        ...


class Encoder(Protocol):
    """Frames in, embeddings out."""

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        """(n, 224, 224, 3) uint8 RGB -> (n, d) float32, rows L2-normalised, same order. ModelVersionMismatch where no
        encoder serves the version, Overloaded where it is full, EncoderUnavailable where it does not answer."""
        ...

    def serves(self, model_version: str) -> bool:
        """Whether frames can be encoded with this model version: an encoder holds it, or can load it when it is named.
        EncoderUnavailable where none answers."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """model_version, dimension, provider and what else the encoder says of itself; EncoderUnavailable."""
        ...
