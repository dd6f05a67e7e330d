"""Deleting videos and users, with a receipt. The tombstone comes first: from that moment on the video is shown to
nobody and nothing that still runs can bring it back. What is slow is left to a worker. A receipt is completed when a
probe has looked into every store and found nothing."""

from __future__ import annotations

import hashlib

from vidrec.application.carried import with_carried
from vidrec.application.jobs import ERASE_VIDEO
from vidrec.application.ports import Database, JobQueue, Look, MediaStore, Receipt, UnitOfWork, VectorIndex
from vidrec.application.probe import PREFIXES, look_for_objects, look_for_rows, look_for_user, look_for_vectors
from vidrec.domain.errors import NotFound, Unavailable
from vidrec.domain.models import Job, JobState, NewJob

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
            busy = False
            if before.deleted_at is None:
                busy = any(job.state is JobState.RUNNING for job in self._queue.live(uow, video_id))
                self._queue.cancel(uow, video_id=video_id)
            receipt = uow.receipts.open("video", video_id)
            job = NewJob(
                kind=ERASE_VIDEO,
                payload=with_carried({"receipt_id": receipt.id, "busy": busy}),
                video_id=video_id,
                priority=_PRIORITY,
                dedupe_key=f"{ERASE_VIDEO}:{video_id}",
            )
            self._queue.enqueue(uow, [job])
        return receipt

    def erase_user(self, user_id: str) -> Receipt:
        """Removes all that is kept of a user, at once, and looks whether anything is left; the receipt is completed. It
        keeps a digest, not the id. A user of whom nothing is known is no error. Keys that were made for the user are
        the operator's, and stay."""
        with self._database.transaction() as uow:
            uow.interactions.erase_user(user_id)
            uow.profiles.erase_user(user_id)
            uow.recommendations.erase_user(user_id)
            receipt = uow.receipts.open("user", user_subject(user_id))
            _note(uow, receipt.id, look_for_user(uow, user_id))
            return _receipt(uow, receipt.id)

    def receipt(self, receipt_id: str) -> Receipt:
        """The receipt as it stands; NotFound."""
        with self._database.snapshot() as uow:
            return _receipt(uow, receipt_id)


def user_subject(user_id: str) -> str:
    """What a receipt calls a user: nobody is told by it who that was."""
    return f"sha256:{hashlib.sha256(user_id.encode()).hexdigest()}"


def finish_erase_video(job: Job, *, database: Database, queue: JobQueue, index: VectorIndex, store: MediaStore) -> None:
    """What a worker does for an ERASE_VIDEO job: removes all that is kept of the video, looks whether anything is left,
    and completes receipt and job where nothing is. Running it twice is running it once. LeaseLost where the job is
    another worker's now; IndexUnavailable, StoreUnavailable, and StillThere, once it is in the receipt: to be tried
    again. Originals that vidrec does not keep itself are left alone."""
    video_id = str(job.video_id)
    remove_video(video_id, database=database, index=index, store=store)
    with database.snapshot() as uow:
        models = uow.models.all()
    outside = [*look_for_objects(store, video_id), *look_for_vectors(index, models, [video_id])[video_id]]
    with database.transaction() as uow:
        looks = [*outside, *look_for_rows(uow, queue, [video_id])[video_id]]
        left = _note(uow, str(job.payload["receipt_id"]), looks)
        if not left:
            queue.complete(uow, job)
    if left:
        raise StillThere(video_id, left)


def remove_video(video_id: str, *, database: Database, index: VectorIndex, store: MediaStore) -> None:
    """Removes the video's vectors of every model version, its pictures, its copies, the original where it was uploaded,
    and what users did with it. IndexUnavailable, StoreUnavailable."""
    with database.snapshot() as uow:
        models = uow.models.all()
    for model in models:
        index.delete(model, [video_id])
    for prefix in PREFIXES:
        store.delete(prefix(video_id))
    with database.transaction() as uow:
        uow.interactions.erase_video(video_id)
        uow.profiles.erase_video(video_id)
        uow.recommendations.erase_video(video_id)
        uow.progress.clear(video_id)
        uow.splits.clear(video_id)
        uow.uploads.scrub(video_id)
        uow.catalogue.scrub(video_id)


class StillThere(Unavailable):
    """Something of an erased video was found after its removal; removing it again can succeed."""

    def __init__(self, video_id: str, left: list[Look]) -> None:
        found = ", ".join(f"{look.found} {look.store} of {look.place}" for look in left)
        super().__init__(f"of video {video_id}, which was erased, there are still {found}")


def _note(uow: UnitOfWork, receipt_id: str, looks: list[Look]) -> list[Look]:
    """Writes what was looked at into the receipt, which is completed where nothing was found; answers what was."""
    uow.receipts.probed(receipt_id, looks)
    left = [look for look in looks if look.found]
    if not left:
        uow.receipts.complete(receipt_id)
    return left


def _receipt(uow: UnitOfWork, receipt_id: str) -> Receipt:
    found = uow.receipts.get(receipt_id)
    if found is None:
        raise NotFound(f"there is no receipt {receipt_id}")
    return found
