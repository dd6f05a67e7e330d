"""Taking in what arrives over the network: an address is signed for a key of its own, bytes arrive there, and their
arrival makes the video wait to be indexed, with nobody asking. What was cut short anywhere is found by the sweep."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from vidrec.application import originals
from vidrec.application.jobs import index_job
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
from vidrec.application.quota import arrival_limit, check_announced, limit_of
from vidrec.application.receiving import Receiving
from vidrec.domain.errors import AlreadyThere, Conflict, FailureReason, InvalidInput, NotFound, TooLarge
from vidrec.domain.models import NewVideo, VideoStatus, new_id, utc_now
from vidrec.domain.uploads import Upload, part_size, shown_name, suffix

log = logging.getLogger(__name__)

MAX_SIGNED = 1000
"""So many parts are signed at once."""
GRACE_S = 3600.0
"""A request that began just before its address expired may take so long, where the store cannot tell that it runs."""
_SWEPT_AT_ONCE = 500
_NAMED_PARTS = 10


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


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    arrived: int = 0
    """Objects that nobody had told of."""
    withdrawn: int = 0
    """Uploads that were announced and never came, or not as a whole."""
    leftovers: int = 0
    """Files that belonged to nothing."""


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
        """`receiver` answers the addresses that `store` signs, where this service is to do that."""
        self._database = database
        self._queue = queue
        self._media = media
        self._store = store
        self._receiver = receiver
        self._policy = policy

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
        conditions = Conditions(size=announced.size, content_type=announced.content_type, sha256=announced.sha256)
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
                raise _gone()
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
            parts = self._store.parts(upload.bucket, upload.key, str(upload.store_id))
            there = {part.number for part in parts}
            if missing := [n for n in range(1, upload.parts + 1) if n not in there]:
                named = ", ".join(map(str, missing[:_NAMED_PARTS])) + (", ..." if missing[_NAMED_PARTS:] else "")
                raise Conflict(f"{len(missing)} of {upload.parts} parts have not arrived: {named}")
            found = self._store.complete(upload.bucket, upload.key, str(upload.store_id), parts, sha256=upload.sha256)
        self.arrived(upload, found)
        return upload

    def end(self, upload_id: str) -> None:
        """Ends an upload in parts and forgets its video. NotFound; Conflict where it is complete."""
        if not self._withdraw(self._in_parts(upload_id)):
            raise Conflict("the upload is complete: delete its video instead")

    # ------------------------------------------------------------------------------------------ arrival

    def arrived(self, upload: Upload, found: ArrivedObject) -> None:
        """The bytes are there: their video waits to be indexed from now on, in one transaction with its job. Told
        twice, nothing happens. NotFound, and the bytes removed, where the video was deleted meanwhile."""
        refused = _refusal(found, arrival_limit(self._database, upload, self._policy.max_bytes))
        digest = "" if refused else found.sha256 or self._sha256(upload)
        with self._database.transaction() as uow:
            kept = uow.catalogue.receive(upload.video_id, size_bytes=found.size, content_sha256=digest)
            if kept:
                uow.uploads.mark_arrived(upload.id, utc_now(), etag=found.etag)
                if refused:
                    uow.catalogue.mark_failed(upload.video_id, *refused)
                else:
                    self._queue.enqueue(uow, [index_job(upload.video_id)])
            elif upload.video_id not in uow.catalogue.get([upload.video_id]):
                uow.uploads.remove(upload.id)
            else:
                return
        if refused or not kept:
            self._store.delete(upload.bucket, upload.key)
        if not kept:
            raise _gone()

    def told(self, bucket: str, key: str) -> None:
        """Somebody says that an object has arrived: a notification of the store, any number of times and in any order.
        It is taken in where it is there and awaited; else nothing happens."""
        with self._database.snapshot() as uow:
            upload = uow.uploads.find(bucket, key)
        if upload is None or upload.arrived_at is not None:
            return
        found = self._store.stat(bucket, key)
        if found is not None:
            self._told_late(upload, found)

    def sweep(self) -> Swept:
        """Takes over what arrived and was not told, withdraws what was announced and did not come in time, removes what
        belongs to nothing. Any number may run at once."""
        arrived = withdrawn = 0
        after: str | None = None
        while batch := self._waiting(after):
            after = batch[-1][0].id
            for upload, deleted in batch:
                found = self._store.stat(upload.bucket, upload.key)
                if found is not None and not deleted:
                    arrived += self._told_late(upload, found)
                elif deleted or self._is_late(upload):
                    withdrawn += self._withdraw(upload)
        before = utc_now() - timedelta(seconds=self._policy.parts_lifetime_s + GRACE_S)
        swept = Swept(arrived, withdrawn, self._store.sweep(before))
        if swept != Swept():
            log.info("swept uploads: %d had arrived, %d withdrawn, %d leftovers", arrived, withdrawn, swept.leftovers)
        return swept

    def _waiting(self, after: str | None) -> Sequence[tuple[Upload, bool]]:
        with self._database.snapshot() as uow:
            uploads = uow.uploads.waiting(_SWEPT_AT_ONCE, after=after)
            deleted = uow.catalogue.deleted([upload.video_id for upload in uploads])
        return [(upload, upload.video_id in deleted) for upload in uploads]

    def _told_late(self, upload: Upload, found: ArrivedObject) -> int:
        try:
            self.arrived(upload, found)
        except NotFound:  # deleted at this moment
            return 0
        return 1

    def _is_late(self, upload: Upload) -> bool:
        if utc_now() < upload.expires_at + timedelta(seconds=GRACE_S):
            return False
        return not self._store.receiving(upload.bucket, upload.key)

    def _withdraw(self, upload: Upload) -> bool:
        with self._database.transaction() as uow:
            uow.catalogue.withdraw(upload.video_id)  # nothing where it arrived; first, as an arrival takes it first too
            if not uow.uploads.remove(upload.id):
                return False
        if upload.store_id is not None:
            self._store.abort(upload.bucket, upload.key, upload.store_id)
        self._store.delete(upload.bucket, upload.key)  # where it came at this moment
        return True

    def _sha256(self, upload: Upload) -> str:
        with (
            self._media.local(self._store.location(upload.bucket, upload.key)) as path,
            path.open("rb") as file,
        ):
            return hashlib.file_digest(file, "sha256").hexdigest()

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


def _gone() -> NotFound:
    return NotFound("the upload was ended, or its video deleted: ask for a new address")


def _refusal(found: ArrivedObject, limit: int) -> tuple[FailureReason, str] | None:
    """Why an object that a store could not refuse is not even looked into."""
    if found.size == 0:
        return FailureReason.EMPTY, "the file is empty"
    if found.size > limit:
        return FailureReason.TOO_LARGE, f"the file has {found.size} bytes; at most {limit} are taken"
    return None
