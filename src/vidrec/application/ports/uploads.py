"""Where bytes arrive from outside: signed addresses, uploads in parts, and what SQL keeps of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vidrec.domain.uploads import Upload, VideoProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a signed address is bound to, beside method, key and time; None binds to nothing."""

    size: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    if_none_match: bool = False
    """Refused where an object is there, whatever the store does without being asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request that anybody may make until it expires."""

    url: str
    """Absolute, or a path of this service."""
    method: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that the request must have."""
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedPart:
    """A part that is there as a whole."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedObject:
    """An object that is there as a whole."""

    size: int
    etag: str
    sha256: str | None
    """None where the store did not see the bytes go by."""
    version: str | None = None
    """The store's name of this very object, where it keeps those that came before too."""


class UploadStore(Protocol):
    """A media store that takes bytes from outside. StoreUnavailable where it does not answer.

    An object appears as a whole or not at all. The one that is there is never replaced, but on an S3 store by an
    address that was signed without `if_none_match`: then `location` is bound to the one that was found."""

    def location(self, bucket: str, key: str, found: ArrivedObject | None = None) -> str:
        """The MediaStore location of what arrives under this key, or of this object that is there."""
        ...

    def sign_put(self, bucket: str, key: str, conditions: Conditions, *, lifetime_s: float) -> SignedRequest:
        """A PUT of the whole object."""
        ...

    def begin(self, bucket: str, key: str) -> str:
        """Begins an upload in parts, answers the store's name of it."""
        ...

    def sign_part(
        self, bucket: str, key: str, store_id: str, number: int, *, size: int, lifetime_s: float
    ) -> SignedRequest:
        """A PUT of one part of exactly this size; a part that is sent again replaces itself."""
        ...

    def parts(self, bucket: str, key: str, store_id: str) -> Sequence[ArrivedPart]:
        """The parts that are there, by number; NotFound where the upload is not there (any more)."""
        ...

    def complete(
        self, bucket: str, key: str, store_id: str, parts: Sequence[ArrivedPart], *, sha256: str | None = None
    ) -> ArrivedObject:
        """Makes the object of these parts. What is complete already is answered again. NotFound where neither upload
        nor object is there; InvalidInput where the bytes are not those of `sha256`: then the parts stay. A store that
        does not see the bytes go by leaves that to whoever reads them."""
        ...

    def abort(self, bucket: str, key: str, store_id: str) -> None:
        """Removes the parts; nothing where there are none."""
        ...

    def stat(self, bucket: str, key: str) -> ArrivedObject | None:
        """The object, where it is there; without its digest where that would mean to read it."""
        ...

    def find(self, bucket: str, keys: Sequence[str]) -> Mapping[str, ArrivedObject]:
        """Those of these objects that are there, by key, as `stat` answers them; with few calls where few are."""
        ...

    def receiving(self, bucket: str, key: str) -> bool:
        """Whether bytes of this object come in now, as far as the store can tell."""
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Removes the object; nothing where it is not there."""
        ...

    def sweep(self, before: datetime) -> int:
        """Removes what was begun, and not touched since, and belongs to nothing; answers how much."""
        ...


class Incoming(Protocol):
    """One request's body on its way into the store. Nothing is seen of it before `finish`."""

    def write(self, data: bytes) -> None:
        """The next bytes; TooLarge, InvalidInput at the first byte too many."""
        ...

    def finish(self) -> ArrivedObject | ArrivedPart:
        """Puts it in its place. InvalidInput where it is empty, shorter or other than was signed; AlreadyThere where
        the object is there."""
        ...

    def discard(self) -> None:
        """Leaves nothing behind; does nothing after `finish`."""
        ...


class UploadReceiver(Protocol):
    """The other end of the addresses that a store signed for this service to answer."""

    def receive(
        self,
        bucket: str,
        key: str,
        signed: Mapping[str, str],
        *,
        content_type: str | None,
        content_length: int | None,
        limit: int,
    ) -> Incoming:
        """Takes the body of a signed PUT. `signed`: the parameters of its address. Forbidden where they were altered
        or have expired; AlreadyThere; TooLarge beyond `limit` bytes; InvalidInput where what is declared is not what
        was signed."""
        ...


class UploadRecords(Protocol):
    """Uploads in SQL."""

    def add(self, upload: Upload) -> None: ...

    def get(self, upload_id: str) -> Upload | None: ...

    def find(self, bucket: str, key: str) -> Upload | None:
        """The upload whose bytes are to arrive there."""
        ...

    def waiting(self, limit: int, *, after: str | None = None) -> Sequence[Upload]:
        """Those that have not arrived, oldest first. `after`: id of the last one before."""
        ...

    def mark_arrived(self, upload_id: str, at: datetime, *, etag: str) -> bool:
        """False (and nothing written) where it has arrived before or is unknown."""
        ...

    def remove(self, upload_id: str) -> bool:
        """Forgets an upload that has not arrived; False where it has, or is unknown."""
        ...

    def declared_sha256(self, video_id: str) -> str | None:
        """What the upload of this video was declared to be."""
        ...

    def scrub(self, video_id: str) -> None:
        """Forgets digests of the bytes. Where they were to arrive stays known: what comes late is removed."""
        ...

    def mark_recommendable(self, video_id: str, at: datetime) -> None:
        """The upload's video can be recommended. The first time, the seconds since its arrival are counted; nothing for
        videos that were not uploaded."""
        ...

    def seconds_to_recommendable(self) -> tuple[Mapping[float, int], float]:
        """Of all uploads so far: upper bound in seconds -> how many took that long at most (and longer than the bound
        before), and the sum of all seconds."""
        ...


class ProgressNotes(Protocol):
    """What workers last said of the videos that they process."""

    def put(self, video_id: str, progress: VideoProgress) -> None: ...

    def get(self, video_ids: Sequence[str]) -> Mapping[str, VideoProgress]:
        """The last note of each; of a split video all ranges together."""
        ...

    def clear(self, video_id: str) -> None: ...
