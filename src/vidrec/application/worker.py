"""Takes jobs from the queue and does them, several at a time, until told to stop.

A lease is renewed while its job is worked on. A worker that dies loses its leases in time and others begin again;
a worker that lost a lease notices, stops, and takes back what it wrote where the video was deleted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vidrec.application.erase import finish_erase_video
from vidrec.application.index_video import VideoIndexer
from vidrec.application.jobs import ERASE_VIDEO, INDEX_VIDEO
from vidrec.application.ports import Database, Encoder, FrameSource, JobQueue, MediaStore, VectorIndex
from vidrec.domain.errors import FailureReason, LeaseLost, ModelVersionMismatch, Unavailable, UnusableMedia
from vidrec.domain.models import Job, JobState, ModelVersion, Video

log = logging.getLogger(__name__)

KINDS = (INDEX_VIDEO, ERASE_VIDEO)
FLUSH_EVERY_S = 5.0
BURY_EVERY_S = 2.0
PATIENCE_S = 600.0
"""How long one call may find its dependency unavailable before the attempt is counted as failed."""


class _Stopping(Exception):
    """The worker was told to stop in the middle of a job."""


@dataclass(eq=False)
class _Lease:
    job: Job
    lost: threading.Event = field(default_factory=threading.Event)


class Worker:
    """`concurrency` jobs at a time in threads: one decodes while another is encoded."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        index: VectorIndex,
        frames: FrameSource,
        encoder: Encoder,
        store: MediaStore,
        *,
        lease_s: float = 30.0,
        poll_s: float = 0.2,
        concurrency: int = 2,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database = database
        self._queue = queue
        self._index = index
        self._store = store
        self._indexer = VideoIndexer(index, frames, encoder, store)
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._stop = threading.Event()
        self._leases: set[_Lease] = set()
        self._written = threading.Event()
        self._created: set[str] = set()

    def run(self, stop: threading.Event, *, until_empty: bool = False) -> None:
        """Works until `stop` is set, or with `until_empty` until no job is queued or running anywhere. A job that is
        cut short by the stop is given back at once, without counting the attempt."""
        self._stop = stop
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,), name="leases", daemon=True)
        threads = [
            threading.Thread(target=self._work, args=(until_empty,), name=f"job-{n}", daemon=True)
            for n in range(self._concurrency)
        ]
        for thread in (keeper, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        keeper.join()
        self._flush()

    # ---------------------------------------------------------------------------------- one job at a time

    def _work(self, until_empty: bool) -> None:
        while not self._stop.is_set():
            try:
                job = self._queue.lease(KINDS, lease_s=self._lease_s)
                if job is None and until_empty and self._nothing_left():
                    return
            except Unavailable as error:
                log.warning("waiting: %s", error)
                self._stop.wait(error.retry_after_s)
                continue
            if job is None:
                self._stop.wait(self._poll_s)
                continue
            lease = _Lease(job)
            self._leases.add(lease)
            try:
                self._do(lease)
            finally:
                self._leases.discard(lease)

    def _nothing_left(self) -> bool:
        counts = self._queue.counts()
        return not counts.get(JobState.QUEUED) and not counts.get(JobState.RUNNING)

    def _do(self, lease: _Lease) -> None:
        job = lease.job
        try:
            if job.kind == ERASE_VIDEO:
                finish_erase_video(
                    job, database=self._database, queue=self._queue, index=self._index, store=self._store
                )
            else:
                self._index_video(lease)
        except LeaseLost:
            log.info("%s %s was taken over or cancelled", job.kind, job.video_id)
            self._take_back_if_deleted(job)
        except _Stopping:
            self._queue.release(job)
        except ModelVersionMismatch as error:
            log.warning("waiting for the encoder: %s", error)
            self._stop.wait(2.0)
            self._queue.release(job)
        except Unavailable as error:
            log.warning("%s %s is tried again later: %s", job.kind, job.video_id, error)
            self._give_back(job, str(error))
        except Exception as error:  # one job's fault must not end the others
            log.exception("%s %s failed and is tried again", job.kind, job.video_id)
            self._give_back(job, f"{type(error).__name__}: {error}")

    def _give_back(self, job: Job, error: str) -> None:
        try:
            self._queue.retry(job, error)
        except Unavailable:
            log.warning("could not give job %s back: its lease will end", job.id)

    def _index_video(self, lease: _Lease) -> None:
        job = lease.job
        patiently = self._patience(lease)
        with self._database.transaction() as uow:
            model = uow.models.active()
            video = uow.catalogue.get([str(job.video_id)]).get(str(job.video_id))
            if video is None:  # deleted: nothing to do
                self._queue.complete(uow, job)
                return
            uow.catalogue.mark_processing(video.id)
        if model is None:
            raise Unavailable("no model is active yet", retry_after_s=2.0)
        patiently(lambda: self._create(model))
        started = time.monotonic()
        try:
            done = self._indexer.index(video, model, patiently)
        except UnusableMedia as error:
            log.info("%s (%s) failed: %s", video.title, video.id, error)
            with self._database.transaction() as uow:
                uow.catalogue.mark_failed(video.id, error.reason, str(error))
                self._queue.complete(uow, job)
            return
        self._written.set()
        with self._database.transaction() as uow:
            now = uow.catalogue.get([video.id]).get(video.id)
            kept = uow.catalogue.mark_indexed(
                video.id, model_version=model.version, media=done.media, segment_count=done.segment_count
            )
            self._queue.complete(uow, job)
        if not kept:
            self._indexer.remove(video.id, model)
        else:
            self._catch_up(model, video, now)
            log.info(
                "%s (%s) indexed: %.1f s of video, %d segments, in %.1f s",
                video.title,
                video.id,
                done.media.duration_s,
                done.segment_count,
                time.monotonic() - started,
            )

    def _catch_up(self, model: ModelVersion, written: Video, now: Video | None) -> None:
        """The category may have been changed since the row was made."""
        if now is not None and now.category != written.category:
            self._index.recategorise(model, written.id, now.category)

    def _create(self, model: ModelVersion) -> None:
        if model.version not in self._created:
            self._index.create(model)
            self._created.add(model.version)

    def _take_back_if_deleted(self, job: Job) -> None:
        video_id = str(job.video_id)
        try:
            with self._database.snapshot() as uow:
                gone = video_id in uow.catalogue.deleted([video_id])
                model = uow.models.active()
            if gone and model is not None and job.kind == INDEX_VIDEO:
                self._indexer.remove(video_id, model)
        except Unavailable as error:
            log.warning("could not take back what was written of deleted video %s: %s", video_id, error)

    def _patience(self, lease: _Lease) -> Callable[[Callable[[], object]], object]:
        """Calls something that may be unavailable for a while; LeaseLost, _Stopping where the work is to end."""

        def patiently(call: Callable[[], object]) -> object:
            give_up_at = time.monotonic() + self._patience_s
            complained = False
            while True:
                if lease.lost.is_set():
                    raise LeaseLost(f"job {lease.job.id} is not ours any more")
                if self._stop.is_set():
                    raise _Stopping
                try:
                    return call()
                except Unavailable as error:
                    if time.monotonic() > give_up_at:
                        raise
                    if not complained:
                        log.warning("waiting: %s", error)
                        complained = True
                    self._stop.wait(error.retry_after_s)

        return patiently

    # ------------------------------------------------------------------------------------- beside the jobs

    def _keep(self, over: threading.Event) -> None:
        """Renews leases, gives up exhausted jobs, flushes the index after bursts."""
        renewed = buried = flushed = 0.0
        while not over.wait(min(0.5, self._lease_s / 6)):
            now = time.monotonic()
            if now - renewed >= self._lease_s / 3:
                self._renew()
                renewed = now
            if now - buried >= BURY_EVERY_S:
                self._bury()
                buried = now
            if self._written.is_set() and (not self._leases or now - flushed >= FLUSH_EVERY_S):
                self._flush()
                flushed = now

    def _renew(self) -> None:
        for lease in list(self._leases):
            try:
                self._queue.renew(lease.job, lease_s=self._lease_s)
            except LeaseLost:
                lease.lost.set()
            except Unavailable as error:
                log.warning("could not renew a lease: %s", error)

    def _bury(self) -> None:
        """Jobs that were begun too often without ending: their videos are failed, with what is known of the reason."""
        try:
            with self._database.transaction() as uow:
                for job in self._queue.bury(uow):
                    reason = job.last_error or "the worker died each time"
                    log.error("%s %s given up after %d attempts: %s", job.kind, job.video_id, job.attempts, reason)
                    if job.kind == INDEX_VIDEO and job.video_id:
                        uow.catalogue.mark_failed(
                            job.video_id,
                            FailureReason.GAVE_UP,
                            f"given up after {job.attempts} attempts: {reason}",
                        )
        except Unavailable as error:
            log.warning("could not look for exhausted jobs: %s", error)

    def _flush(self) -> None:
        if not self._written.is_set():
            return
        self._written.clear()
        try:
            with self._database.snapshot() as uow:
                model = uow.models.active()
            if model is not None:
                self._index.flush(model)
        except Unavailable as error:
            self._written.set()
            log.warning("could not flush the vector index: %s", error)
