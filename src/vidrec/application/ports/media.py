"""Files, what is in them, and the encoder that looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, Protocol

from vidrec.domain.models import Embeddings, Frames, MediaInfo, SampledFrames, TimeRange
from vidrec.domain.playback import Rendering


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


class Renderer(Protocol):
    """Makes copies that browsers play, in a limited child process that gives way to others."""

    def render(
        self, path: Path, info: MediaInfo, how: Rendering, *, check: Callable[[], None]
    ) -> AbstractContextManager[IO[bytes]]:
        """The finished copy, to be read for the time of the block; nothing is left of it after. `check` is called all
        along, and what it raises ends the work. UnusableMedia where no copy that plays can be made in this way,
        StoreUnavailable where there is no room."""
        ...


class MediaStore(Protocol):
    """Bytes by location. A location is `file:///absolute/path` (the user's own file, read in place, never changed or
    deleted) or `media:///key` (kept by this store)."""

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

    def delete(self, prefix: str) -> int:
        """Removes every kept object whose key starts with the prefix; answers how many. `file:` locations are left
        alone."""
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
