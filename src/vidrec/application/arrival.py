"""What happens once bytes are there: their video waits to be indexed, with nobody asking. The request that brought them
says so, or a notification of the store; what nobody told of, or was cut short anywhere, is found by the sweep."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from vidrec.application.digest import sha256_of
from vidrec.application.jobs import index_job
from vidrec.application.ports import ArrivedObject, Database, JobQueue, MediaStore, UploadStore
from vidrec.application.quota import arrival_limit
from vidrec.domain.errors import FailureReason, NotFound
from vidrec.domain.models import Video, VideoStatus, utc_now
from vidrec.domain.uploads import Upload

log = logging.getLogger(__name__)

GRACE_S = 3600.0
"""A request that began just before its address expired may take so long, where the store cannot tell that it runs."""
_SWEPT_AT_ONCE = 500
_REFUSED = frozenset({FailureReason.EMPTY, FailureReason.TOO_LARGE})


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    arrived: int = 0
    """Objects that nobody had told of."""
    withdrawn: int = 0
    """Uploads that were announced and never came, or not as a whole."""
    leftovers: int = 0
    """Files that belonged to nothing."""


class Arrivals:
    """The use cases of arrival. Thread-safe."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        media: MediaStore | None,
        store: UploadStore,
        *,
        max_bytes: int,
        parts_lifetime_s: float,
    ) -> None:
        """`media` reads what has arrived, None where that would mean to fetch it: then whoever looks into the video
        learns its digest. `max_bytes`: larger files are not looked into; `parts_lifetime_s`: how long an upload in
        parts may take."""
        self._database = database
        self._queue = queue
        self._media = media
        self._store = store
        self._max_bytes = max_bytes
        self._parts_lifetime_s = parts_lifetime_s

    def arrived(self, upload: Upload, found: ArrivedObject) -> None:
        """The bytes are there: their video waits to be indexed from now on, in one transaction with its job, and is
        bound to this very object. Told twice, nothing happens. NotFound, and the bytes removed, where the video was
        deleted meanwhile."""
        refused = _refusal(found, arrival_limit(self._database, upload, self._max_bytes))
        location = self._store.location(upload.bucket, upload.key, found)
        digest = "" if refused else found.sha256 or self._sha256(location)
        with self._database.transaction() as uow:
            kept = uow.catalogue.receive(
                upload.video_id, location=location, size_bytes=found.size, content_sha256=digest
            )
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
            raise gone()

    def told(self, bucket: str, key: str) -> None:
        """Somebody says that an object has arrived: a notification of the store, any number of times and in any order.
        It is taken in where it is there and awaited, removed where its video was refused or deleted before; else
        nothing happens."""
        with self._database.snapshot() as uow:
            upload = uow.uploads.find(bucket, key)
            video = uow.catalogue.get([upload.video_id]).get(upload.video_id) if upload is not None else None
        if upload is None:
            return
        if upload.arrived_at is not None:
            if _is_refused(video):  # an address that still holds was used again
                self._store.delete(bucket, key)
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
            there = self._there([upload for upload, _ in batch])
            for upload, deleted in batch:
                found = there.get((upload.bucket, upload.key))
                if found is not None and not deleted:
                    arrived += self._told_late(upload, found)
                elif deleted or self._is_late(upload):
                    withdrawn += self.withdraw(upload)
        before = utc_now() - timedelta(seconds=self._parts_lifetime_s + GRACE_S)
        swept = Swept(arrived, withdrawn, self._store.sweep(before))
        if swept != Swept():
            log.info("swept uploads: %d had arrived, %d withdrawn, %d leftovers", arrived, withdrawn, swept.leftovers)
        return swept

    def withdraw(self, upload: Upload) -> bool:
        """Forgets an upload and its video, and removes its bytes; False where it has arrived."""
        with self._database.transaction() as uow:
            uow.catalogue.withdraw(upload.video_id)  # nothing where it arrived; first, as an arrival takes it first too
            if not uow.uploads.remove(upload.id):
                return False
        if upload.store_id is not None:
            self._store.abort(upload.bucket, upload.key, upload.store_id)
        self._store.delete(upload.bucket, upload.key)  # where it came at this moment
        return True

    def _waiting(self, after: str | None) -> Sequence[tuple[Upload, bool]]:
        with self._database.snapshot() as uow:
            uploads = uow.uploads.waiting(_SWEPT_AT_ONCE, after=after)
            deleted = uow.catalogue.deleted([upload.video_id for upload in uploads])
        return [(upload, upload.video_id in deleted) for upload in uploads]

    def _there(self, uploads: Sequence[Upload]) -> Mapping[tuple[str, str], ArrivedObject]:
        return {
            (bucket, key): found
            for bucket in {upload.bucket for upload in uploads}
            for key, found in self._store.find(bucket, [u.key for u in uploads if u.bucket == bucket]).items()
        }

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

    def _sha256(self, location: str) -> str:
        if self._media is None:
            return ""
        with self._media.original(location) as file:
            return sha256_of(file)


def gone() -> NotFound:
    """What is told to whoever sends bytes for a video that is not there any more."""
    return NotFound("the upload was ended, or its video deleted: ask for a new address")


def _is_refused(video: Video | None) -> bool:
    return video is None or (video.status is VideoStatus.FAILED and video.failure_reason in _REFUSED)


def _refusal(found: ArrivedObject, limit: int) -> tuple[FailureReason, str] | None:
    """Why an object that a store could not refuse is not even looked into."""
    if found.size == 0:
        return FailureReason.EMPTY, "the file is empty"
    if found.size > limit:
        return FailureReason.TOO_LARGE, f"the file has {found.size} bytes; at most {limit} are taken"
    return None
