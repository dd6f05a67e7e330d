"""Deleting videos and users, with a receipt. The tombstone comes first: from that moment on the video is shown to
nobody and nothing that still runs can bring it back. What is slow is left to a worker."""

from __future__ import annotations

import hashlib

from vidrec.application import originals, partials, pictures, render_video
from vidrec.application.carried import with_carried
from vidrec.application.jobs import ERASE_VIDEO
from vidrec.application.ports import Database, JobQueue, MediaStore, Receipt, UnitOfWork, VectorIndex
from vidrec.domain.errors import NotFound
from vidrec.domain.models import Job, NewJob

_PRIORITY = 10
"""Before any indexing."""


class Eraser:
    """The use cases of deletion. Thread-safe."""

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._database = database
        self._queue = queue

    def erase_video(self, video_id: str) -> Receipt:
        """Marks the video deleted, ends its jobs and queues the removal of all that is kept of it; NotFound where there
        never was one. Asked again before it is done: the same receipt."""
        with self._database.transaction() as uow:
            before = uow.catalogue.tombstone(video_id)
            if before.deleted_at is None:
                self._queue.cancel(uow, video_id=video_id)
            receipt = uow.receipts.open("video", video_id)
            job = NewJob(
                kind=ERASE_VIDEO,
                payload=with_carried({"receipt_id": receipt.id}),
                video_id=video_id,
                priority=_PRIORITY,
                dedupe_key=f"{ERASE_VIDEO}:{video_id}",
            )
            self._queue.enqueue(uow, [job])
        return receipt

    def erase_user(self, user_id: str) -> Receipt:
        """Removes all that is kept of a user, at once; the receipt is completed. It keeps a digest, not the id. A user
        of whom nothing is known is no error."""
        digest = hashlib.sha256(user_id.encode()).hexdigest()
        with self._database.transaction() as uow:
            uow.interactions.erase_user(user_id)
            uow.profiles.erase_user(user_id)
            uow.recommendations.erase_user(user_id)
            receipt = uow.receipts.open("user", f"sha256:{digest}")
            uow.receipts.complete(receipt.id)
            return _receipt(uow, receipt.id)

    def receipt(self, receipt_id: str) -> Receipt:
        """The receipt as it stands; NotFound."""
        with self._database.snapshot() as uow:
            return _receipt(uow, receipt_id)


def finish_erase_video(job: Job, *, database: Database, queue: JobQueue, index: VectorIndex, store: MediaStore) -> None:
    """What a worker does for an ERASE_VIDEO job: removes the video's vectors of every model version, its pictures, its
    copies, the original where it was uploaded, and what users did with it, completes receipt and job. Running it twice
    is running it once. LeaseLost where the job is another worker's now; IndexUnavailable, StoreUnavailable: to be tried
    again. Originals that vidrec does not keep itself are left alone."""
    video_id = str(job.video_id)
    with database.snapshot() as uow:
        models = uow.models.all()
    for model in models:
        index.delete(model, [video_id])
    store.delete(pictures.prefix(video_id))
    store.delete(originals.prefix(video_id))
    store.delete(render_video.prefix(video_id))
    store.delete(partials.prefix(video_id))
    with database.transaction() as uow:
        uow.interactions.erase_video(video_id)
        uow.profiles.erase_video(video_id)
        uow.recommendations.erase_video(video_id)
        uow.progress.clear(video_id)
        uow.splits.clear(video_id)
        uow.catalogue.scrub(video_id)
        uow.receipts.complete(str(job.payload["receipt_id"]))
        queue.complete(uow, job)


def _receipt(uow: UnitOfWork, receipt_id: str) -> Receipt:
    found = uow.receipts.get(receipt_id)
    if found is None:
        raise NotFound(f"there is no receipt {receipt_id}")
    return found
