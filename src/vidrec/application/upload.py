"""Taking in what comes over the network: an address is signed for a key of its own, for a whole file or its parts, and
bytes arrive there; see `arrival` for what happens then."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from vidrec.application import originals
from vidrec.application.arrival import Arrivals, Swept, gone
from vidrec.application.ports import (
    ArrivedObject,
    ArrivedPart,
    Conditions,
    Database,
    JobQueue,
    MediaStore,
    SignedRequest,
    UploadReceiver,
    UploadStore,
)
from vidrec.application.quota import check_announced, limit_of
from vidrec.application.receiving import Receiving
from vidrec.domain.errors import AlreadyThere, Conflict, InvalidInput, NotFound, TooLarge
from vidrec.domain.models import NewVideo, VideoStatus, new_id, utc_now
from vidrec.domain.uploads import Upload, part_size, shown_name, suffix

MAX_SIGNED = 1000
"""So many parts are signed at once."""
_NAMED_PARTS = 10
_LOOKS, _LOOK_EVERY_S = 8, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPolicy:
    """What is taken."""

    buckets: tuple[str, ...] = ("videos",)
    suffixes: frozenset[str] = frozenset({".webm"})
    """With their dots, lower case."""
    max_bytes: int = 20 << 30
    url_lifetime_s: float = 900.0
    parts_lifetime_s: float = 86_400.0
    """How long an upload in parts may take."""
    max_open: int = 1000
    """So many uploads of one key may be announced and not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a producer says of a file before its bytes arrive."""

    bucket: str
    filename: str
    title: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    external_id: str | None = None
    size: int | None = None
    content_type: str | None = None
    sha256: str | None = None
    key_id: str | None = None
    """The key that it is announced with."""
    if_none_match: bool = False
    """The address is refused once an object is there, whatever the store does without being asked."""


class Uploads:
    """The use cases of uploading. Thread-safe."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        media: MediaStore,
        store: UploadStore,
        receiver: UploadReceiver | None,
        policy: UploadPolicy,
    ) -> None:
        """`receiver` answers the addresses that `store` signs, where this service is to do that; without one the bytes
        are elsewhere, and are not read here."""
        self._database = database
        self._store = store
        self._receiver = receiver
        self._policy = policy
        self._arrivals = Arrivals(
            database,
            queue,
            media if receiver is not None else None,
            store,
            max_bytes=policy.max_bytes,
            parts_lifetime_s=policy.parts_lifetime_s,
        )

    @property
    def buckets(self) -> Sequence[str]:
        """Names of those that take uploads."""
        return self._policy.buckets

    # ------------------------------------------------------------------------------------ in one piece

    def sign(self, announced: Announced) -> tuple[Upload, SignedRequest]:
        """An address for one PUT of the file, and the upload whose video is `uploading` from now on. InvalidInput names
        what is not taken; TooLarge, also for the key's quota; Overloaded where too many of the key have not come;
        Conflict where the external id is another video's."""
        name = self._checked_name(announced)
        upload = self._new(announced, name, lifetime_s=self._policy.url_lifetime_s)
        conditions = Conditions(
            size=announced.size,
            content_type=announced.content_type,
            sha256=announced.sha256,
            if_none_match=announced.if_none_match,
        )
        signed = self._store.sign_put(upload.bucket, upload.key, conditions, lifetime_s=self._policy.url_lifetime_s)
        self._record(announced, name, upload)
        return upload, signed

    def receive(
        self,
        bucket: str,
        key: str,
        signed: Mapping[str, str],
        *,
        content_type: str | None,
        content_length: int | None,
    ) -> Receiving:
        """The body of a request to an address that was signed here; see UploadReceiver. NotFound where the upload was
        ended."""
        if self._receiver is None:
            raise NotFound("uploads go to the store's own addresses")
        try:
            incoming = self._receiver.receive(
                bucket,
                key,
                signed,
                content_type=content_type,
                content_length=content_length,
                limit=self._policy.max_bytes,
            )
        except AlreadyThere:
            self.told(bucket, key)  # the first request may have been cut short after the last byte
            raise
        try:
            upload, limit = self._expected(bucket, key)
            return Receiving(upload, incoming, self.arrived, limit=limit, declared=content_length)
        except BaseException:
            incoming.discard()
            raise

    def _expected(self, bucket: str, key: str) -> tuple[Upload, int]:
        """The upload that is to arrive there, and how many bytes of it are taken."""
        with self._database.snapshot() as uow:
            upload = uow.uploads.find(bucket, key)
            if upload is None or upload.video_id not in uow.catalogue.get([upload.video_id]):
                raise gone()
            return upload, limit_of(uow, upload, self._policy.max_bytes)

    # ---------------------------------------------------------------------------------------- in parts

    def begin(self, announced: Announced) -> Upload:
        """An upload in parts; errors as of `sign`."""
        name = self._checked_name(announced)
        if announced.size is None:
            raise InvalidInput("size: an upload in parts needs the size of the whole file", field="size")
        upload = self._new(
            announced, name, lifetime_s=self._policy.parts_lifetime_s, part_size=part_size(announced.size)
        )
        self._record(announced, name, upload)
        return upload

    def parts(self, upload_id: str) -> tuple[Upload, Sequence[ArrivedPart]]:
        """The upload and the parts of it that are there; all are once it is complete, and none is listed then.
        NotFound."""
        upload = self._in_parts(upload_id)
        if upload.arrived_at is not None:
            return upload, []
        return upload, self._store.parts(upload.bucket, upload.key, str(upload.store_id))

    def sign_parts(self, upload_id: str, numbers: Sequence[int]) -> Sequence[tuple[int, SignedRequest]]:
        """An address for the PUT of each of these parts. NotFound; InvalidInput where there is no such part; Conflict
        where the upload is complete."""
        upload = self._in_parts(upload_id)
        if upload.arrived_at is not None:
            raise Conflict("the upload is complete")
        if wrong := [number for number in numbers if not 1 <= number <= upload.parts]:
            raise InvalidInput(f"numbers: {wrong[0]} is none of the parts 1 to {upload.parts}", field="numbers")
        return [
            (
                number,
                self._store.sign_part(
                    upload.bucket,
                    upload.key,
                    str(upload.store_id),
                    number,
                    size=upload.size_of(number),
                    lifetime_s=self._policy.url_lifetime_s,
                ),
            )
            for number in dict.fromkeys(numbers)
        ]

    def complete(self, upload_id: str) -> Upload:
        """Makes the file of its parts and takes it in; twice is once. NotFound; Conflict names parts that are missing;
        InvalidInput where the bytes are not those that were declared."""
        upload = self._in_parts(upload_id)
        if upload.arrived_at is not None:
            return upload
        found = self._store.stat(upload.bucket, upload.key)
        if found is None:
            try:
                found = self._assembled(upload)
            except NotFound:  # another request completes it at this moment, or it was ended
                found = self._appearing(upload)
        self.arrived(upload, found)
        return upload

    def _assembled(self, upload: Upload) -> ArrivedObject:
        parts = self._store.parts(upload.bucket, upload.key, str(upload.store_id))
        there = {part.number for part in parts}
        if missing := [n for n in range(1, upload.parts + 1) if n not in there]:
            named = ", ".join(map(str, missing[:_NAMED_PARTS])) + (", ..." if missing[_NAMED_PARTS:] else "")
            raise Conflict(f"{len(missing)} of {upload.parts} parts have not arrived: {named}")
        return self._store.complete(upload.bucket, upload.key, str(upload.store_id), parts, sha256=upload.sha256)

    def _appearing(self, upload: Upload) -> ArrivedObject:
        """The object, which a store may show a moment after its parts are gone; NotFound."""
        for _ in range(_LOOKS):
            found = self._store.stat(upload.bucket, upload.key)
            if found is not None:
                return found
            time.sleep(_LOOK_EVERY_S)
        raise gone()

    def end(self, upload_id: str) -> None:
        """Ends an upload in parts and forgets its video. NotFound; Conflict where it is complete."""
        if not self._arrivals.withdraw(self._in_parts(upload_id)):
            raise Conflict("the upload is complete: delete its video instead")

    # ------------------------------------------------------------------------------------------ arrival

    def arrived(self, upload: Upload, found: ArrivedObject) -> None:
        """See Arrivals."""
        self._arrivals.arrived(upload, found)

    def told(self, bucket: str, key: str) -> None:
        """See Arrivals."""
        self._arrivals.told(bucket, key)

    def sweep(self) -> Swept:
        """See Arrivals."""
        return self._arrivals.sweep()

    # ------------------------------------------------------------------------------------- announcements

    def _checked_name(self, announced: Announced) -> str:
        policy = self._policy
        if announced.bucket not in policy.buckets:
            raise InvalidInput(
                f"bucket: there is no bucket {announced.bucket[:80]!r}; there are {', '.join(policy.buckets)}",
                field="bucket",
            )
        name = shown_name(announced.filename)
        if suffix(name) not in policy.suffixes:
            allowed = ", ".join(sorted(policy.suffixes))
            raise InvalidInput(f"filename: expected a name that ends in one of {allowed}", field="filename")
        if announced.size is not None and announced.size > policy.max_bytes:
            raise TooLarge(f"size: at most {policy.max_bytes} bytes are taken", field="size")
        return name

    def _new(self, announced: Announced, name: str, *, lifetime_s: float, part_size: int | None = None) -> Upload:
        video_id, now = new_id(), utc_now()
        key = originals.key(video_id, suffix(name))
        return Upload(
            id=new_id(),
            video_id=video_id,
            bucket=announced.bucket,
            key=key,
            size=announced.size,
            sha256=announced.sha256,
            part_size=part_size,
            store_id=None if part_size is None else self._store.begin(announced.bucket, key),
            created_at=now,
            expires_at=now + timedelta(seconds=lifetime_s),
            arrived_at=None,
            key_id=announced.key_id,
        )

    def _record(self, announced: Announced, name: str, upload: Upload) -> None:
        video = NewVideo(
            location=self._store.location(upload.bucket, upload.key),
            filename=name,
            size_bytes=upload.size or 0,
            content_sha256="",
            external_id=announced.external_id,
            title=announced.title,
            category=announced.category,
            tags=announced.tags,
        )
        try:
            with self._database.transaction() as uow:
                check_announced(uow, upload, max_open=self._policy.max_open)
                uow.catalogue.add(video, video_id=upload.video_id, status=VideoStatus.UPLOADING)
                uow.uploads.add(upload)
        except BaseException:
            if upload.store_id is not None:
                self._store.abort(upload.bucket, upload.key, upload.store_id)
            raise

    def _in_parts(self, upload_id: str) -> Upload:
        with self._database.snapshot() as uow:
            upload = uow.uploads.get(upload_id)
        if upload is None or upload.part_size is None:
            raise NotFound(f"there is no upload {upload_id}")
        return upload
