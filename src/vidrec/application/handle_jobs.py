"""What a worker does for each kind of job, and what of it is undone or given up."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial

from vidrec.application.digest import learn_digest
from vidrec.application.erase import finish_erase_video, remove_video
from vidrec.application.index_jobs import IndexJobs, begin
from vidrec.application.index_video import VideoIndexer
from vidrec.application.jobs import CLEAR_PARTIALS, ERASE_VIDEO, FOLD_VIDEO, INDEX_RANGE, INDEX_VIDEO, RENDER_VIDEO
from vidrec.application.patience import Patience
from vidrec.application.ports import (
    Database,
    Encoder,
    FrameSource,
    JobQueue,
    MediaStore,
    Observe,
    Renderer,
    UnitOfWork,
    VectorIndex,
    unobserved,
)
from vidrec.application.render_video import VideoRenderer
from vidrec.application.split_jobs import SplitJobs
from vidrec.domain.errors import FailureReason, LeaseLost, Unavailable, UnusableMedia
from vidrec.domain.models import Job, Playback

log = logging.getLogger(__name__)

_SPLIT = (INDEX_RANGE, FOLD_VIDEO, CLEAR_PARTIALS)
KINDS = (INDEX_VIDEO, *_SPLIT, ERASE_VIDEO)
BESIDES = (RENDER_VIDEO,)
"""Done by a thread of its own while none of the others is due."""


class JobHandler:
    """Does jobs of all kinds; each completes its job in the transaction of its effects. Thread-safe."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        index: VectorIndex,
        frames: FrameSource,
        encoder: Encoder,
        store: MediaStore,
        renderer: Renderer,
        *,
        split_s: float,
        lease_s: float,
        observe: Observe = unobserved,
    ) -> None:
        """`lease_s`: after so long a worker has noticed that a job is not its own any more."""
        self._database = database
        self._queue = queue
        self._lease_s = lease_s
        self._index = index
        self._store = store
        self._renderer = VideoRenderer(frames, renderer, store)
        self._indexer = VideoIndexer(
            index, frames, encoder, store, learn=partial(learn_digest, database), observe=observe
        )
        self.indexing = IndexJobs(database, queue, index, encoder, self._indexer, split_s=split_s)
        self._splitting = SplitJobs(database, queue, store, self.indexing, self._indexer)

    def warm_up(self) -> None:
        """Connects to the index before the first job would have to wait for it, where that can be done now."""
        with suppress(Unavailable):
            with self._database.snapshot() as uow:
                model = uow.models.active()
            if model is not None:
                self.indexing.create(model)

    def do(self, job: Job, patiently: Patience) -> None:
        """Does the job. Whatever this raises, the job is not done; `put_back` and `take_back` follow."""
        if job.kind == ERASE_VIDEO:
            self._erase(job, patiently)
        elif job.kind == RENDER_VIDEO:
            self._render_video(job, patiently)
        elif job.kind in _SPLIT:
            self._splitting.do(job, patiently)
        else:
            self.indexing.do(job, patiently)

    def put_back(self, job: Job) -> None:
        """A video that nobody works on now is shown as waiting."""
        if job.kind not in (INDEX_VIDEO, INDEX_RANGE, FOLD_VIDEO):
            return
        with suppress(LeaseLost), self._database.transaction() as uow:
            if job.kind == INDEX_VIDEO:
                uow.catalogue.requeue([str(job.video_id)])
            else:
                self._splitting.put_back(uow, job)
            self._queue.hold(uow, job)

    def take_back(self, job: Job) -> None:
        """Removes what the job may have written of a video that was deleted, or failed by another range, meanwhile."""
        if job.kind == ERASE_VIDEO:
            return
        self._splitting.take_back_if_over(job)
        video_id = str(job.video_id)
        with self._database.snapshot() as uow:
            gone = video_id in uow.catalogue.deleted([video_id])
            models = uow.models.all() if gone else []
        for model in models:
            self._indexer.remove(video_id, model)
        if gone:
            self._renderer.remove(video_id)

    def give_up(self, uow: UnitOfWork, job: Job, reason: str) -> None:
        """What a job means that was begun too often: its video is failed, or has no copy that plays."""
        message = f"given up after {job.attempts} attempts: {reason}"
        if job.kind == INDEX_VIDEO:
            active = uow.models.active()
            version = str(job.payload.get("model_version") or (active.version if active else ""))
            self.indexing.note_failure(uow, str(job.video_id), version, FailureReason.GAVE_UP, message)
        elif job.kind in (INDEX_RANGE, FOLD_VIDEO):
            self._splitting.fail(uow, job, FailureReason.GAVE_UP, message)
        elif job.kind == RENDER_VIDEO:
            uow.catalogue.set_playback(str(job.video_id), Playback.FAILED)

    def _erase(self, job: Job, patiently: Patience) -> None:
        database, index, store = self._database, self._index, self._store
        if job.payload.get("busy"):
            # Whoever worked on the video notices that it is deleted when its lease is to be renewed, takes back what it
            # wrote, and may be killed before it does: only after that a look tells that nothing is left.
            patiently(lambda: remove_video(str(job.video_id), database=database, index=index, store=store))
            patiently.wait(self._lease_s)
        patiently(lambda: finish_erase_video(job, database=database, queue=self._queue, index=index, store=store))

    def _render_video(self, job: Job, patiently: Patience) -> None:
        video = begin(self._database, self._queue, job)
        if video is None:
            return
        started = time.monotonic()
        try:
            playback, location = self._renderer.render(video, patiently)
        except UnusableMedia as error:
            log.warning("%s (%s) cannot be made to play: %s", video.title, video.id, error)
            playback, location = Playback.FAILED, None
        with self._database.transaction() as uow:
            kept = uow.catalogue.set_playback(video.id, playback, location)
            self._queue.complete(uow, job)
        if not kept:
            self._renderer.remove(video.id)
        log.info("%s (%s): playback is %s, after %.1f s", video.title, video.id, playback, time.monotonic() - started)
