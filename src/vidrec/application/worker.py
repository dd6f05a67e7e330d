"""Takes jobs from the queue and does them, several at a time, until told to stop.

A lease is renewed while its job is worked on. A worker that dies loses its leases in time and others begin again;
a worker that lost a lease notices, stops, and takes back what it wrote where the video was deleted.

Copies that browsers play are made by one more thread, one at a time, and begun only while nothing else waits: they hold
no other job up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from vidrec.application.erase import finish_erase_video
from vidrec.application.index_video import Indexed, VideoIndexer
from vidrec.application.jobs import ERASE_VIDEO, INDEX_VIDEO, RENDER_VIDEO, index_job
from vidrec.application.patience import Patience, Stopping
from vidrec.application.ports import (
    Database,
    Encoder,
    FrameSource,
    JobQueue,
    MediaStore,
    Observers,
    Renderer,
    UnitOfWork,
    VectorIndex,
)
from vidrec.application.progress import Reporter
from vidrec.application.render_video import VideoRenderer, plan_missing, plan_playback
from vidrec.domain.errors import FailureReason, LeaseLost, ModelVersionMismatch, Unavailable, UnusableMedia
from vidrec.domain.models import Job, JobState, ModelVersion, Playback, Video, utc_now

log = logging.getLogger(__name__)

KINDS = (INDEX_VIDEO, ERASE_VIDEO)
BESIDES = (RENDER_VIDEO,)
"""Done by a thread of its own while none of the others is due."""
FLUSH_EVERY_S = 5.0
BURY_EVERY_S = 2.0
PRUNE_EVERY_S = 3600.0
SWEEP_EVERY_S = 20.0
PATIENCE_S = 600.0
"""How long one call may find its dependency unavailable before the attempt is counted as failed."""
SIGNAL_S = 0.5
"""A signal that comes just as the main thread begins to wait is handled only when it wakes: so long at most."""
LOW_PRIORITY_POLL = 5
"""The thread for that looks so many times less often."""
_INDEXED = "%s (%s) indexed: %.1f s of video, %d segments, in %.1f s"
MODEL_POLL_S = 1.0
"""How often a worker looks whether the encoder holds the active model version, while it does not."""


@dataclass(eq=False)
class _Lease:
    job: Job
    lost: threading.Event = field(default_factory=threading.Event)


class Worker:
    """`concurrency` jobs at a time in threads: one decodes while another is encoded. Beside them one copy is made."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        index: VectorIndex,
        frames: FrameSource,
        encoder: Encoder,
        store: MediaStore,
        *,
        renderer: Renderer,
        lease_s: float = 30.0,
        poll_s: float = 0.2,
        concurrency: int = 2,
        patience_s: float = PATIENCE_S,
        recommendation_days: float = 30.0,
        sweep: Callable[[], object] | None = None,
        observers: Observers = Observers(),  # noqa: B008 - it is frozen
    ) -> None:
        """`sweep`: what is to be looked for again and again, such as uploads that nobody told of."""
        self._database = database
        self._queue = queue
        self._index = index
        self._encoder = encoder
        self._store = store
        self._indexer = VideoIndexer(index, frames, encoder, store, observe=observers.step)
        self._around_job = observers.job
        self._renderer = VideoRenderer(frames, renderer, store)
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._recommendation_days = recommendation_days
        self._sweep = sweep
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
            threading.Thread(target=self._work, args=(KINDS, until_empty), name=f"job-{n}", daemon=True)
            for n in range(self._concurrency)
        ]
        threads.append(threading.Thread(target=self._work, args=(BESIDES, until_empty), name="render", daemon=True))
        keeper.start()
        if self._sweep is not None:
            threading.Thread(target=self._sweep_regularly, args=(over,), name="sweep", daemon=True).start()
        self._warm_up()
        for thread in threads:
            thread.start()
        log.info("looking for work, %d jobs at a time", self._concurrency)
        for thread in threads:
            while thread.is_alive():
                thread.join(SIGNAL_S)
        over.set()
        keeper.join()
        try:
            self._flush()
        except Unavailable as error:
            log.warning("the vector index was not flushed: %s", error)

    def _warm_up(self) -> None:
        """Connects to the index before the first job would have to wait for it, where that can be done now."""
        with suppress(Unavailable):
            with self._database.snapshot() as uow:
                model = uow.models.active()
            if model is not None:
                self._create(model)

    # ---------------------------------------------------------------------------------- one job at a time

    def _work(self, kinds: Sequence[str], until_empty: bool) -> None:
        poll_s = self._poll_s if kinds is KINDS else LOW_PRIORITY_POLL * self._poll_s
        while not self._stop.is_set():
            try:
                gives_way = kinds is not KINDS and self._queue.due(KINDS)
                job = None if gives_way else self._queue.lease(kinds, lease_s=self._lease_s)
                if job is not None:
                    self._hold(job)
                elif until_empty and self._nothing_left():
                    return
                else:
                    self._stop.wait(poll_s)
            except Unavailable as error:
                log.warning("waiting: %s", error)
                self._stop.wait(error.retry_after_s)
            except Exception:  # a worker that silently does one thing less at a time helps nobody
                log.exception("looking for work failed")
                self._stop.wait(1.0)

    def _nothing_left(self) -> bool:
        counts = self._queue.counts()
        return not counts.get(JobState.QUEUED) and not counts.get(JobState.RUNNING)

    def _hold(self, job: Job) -> None:
        lease = _Lease(job)
        self._leases.add(lease)
        try:
            with self._around_job(job):
                self._do(job, Patience(lost=lease.lost, stop=self._stop, limit_s=self._patience_s))
        finally:
            self._leases.discard(lease)

    def _do(self, job: Job, patiently: Patience) -> None:
        """Does the job, or gives it back in the way that fits what went wrong."""
        try:
            if job.kind == ERASE_VIDEO:
                patiently(lambda: self._erase(job))
            elif job.kind == RENDER_VIDEO:
                self._render_video(job, patiently)
            else:
                self._index_video(job, patiently)
            return
        except LeaseLost:
            log.info("%s %s was taken over or cancelled", job.kind, job.video_id)
        except Stopping:
            self._release(job)
        except ModelVersionMismatch as error:
            log.warning("%s %s begins again: %s", job.kind, job.video_id, error)
            self._release(job)
        except Unavailable as error:
            log.warning("%s %s is tried again later: %s", job.kind, job.video_id, error)
            self._retry(job, str(error))
        except Exception as error:  # one job's fault must not end the others
            log.exception("%s %s failed and is tried again", job.kind, job.video_id)
            self._retry(job, f"{type(error).__name__}: {error}")
        if job.kind != ERASE_VIDEO:
            self._take_back_if_deleted(str(job.video_id))

    def _release(self, job: Job) -> None:
        self._set_queued(job)
        self._queue.release(job)

    def _retry(self, job: Job, error: str) -> None:
        self._set_queued(job)
        self._queue.retry(job, error)

    def _set_queued(self, job: Job) -> None:
        """A video that nobody works on now is shown as waiting."""
        if job.kind != INDEX_VIDEO:
            return
        with suppress(LeaseLost), self._database.transaction() as uow:
            self._check_ours(job)
            uow.catalogue.requeue([str(job.video_id)])

    def _check_ours(self, job: Job) -> None:
        """LeaseLost where another worker has the job. Called in a transaction: the job then stays ours to its end."""
        now = self._queue.get([job.id]).get(job.id)
        if now is None or now.lease_token != job.lease_token:
            raise LeaseLost(f"job {job.id} is not ours any more")

    def _erase(self, job: Job) -> None:
        finish_erase_video(job, database=self._database, queue=self._queue, index=self._index, store=self._store)

    def _index_video(self, job: Job, patiently: Patience) -> None:
        model = self._ready_model(patiently)
        patiently(lambda: self._create(model))
        video = self._begin(job)
        if video is None:
            return
        started = time.monotonic()
        try:
            done = self._indexer.index(video, model, patiently, Reporter(self._database, video.id))
        except UnusableMedia as error:
            log.info("%s (%s) failed: %s", video.title, video.id, error)
            with self._database.transaction() as uow:
                uow.catalogue.mark_failed(video.id, error.reason, str(error))
                self._queue.complete(uow, job)
            return
        self._written.set()
        self._end(job, video, model, done)
        took_s = time.monotonic() - started
        log.info(_INDEXED, video.title, video.id, done.media.duration_s, done.segment_count, took_s)

    def _ready_model(self, patiently: Patience) -> ModelVersion:
        """The active model version; waits until there is one and the encoder holds it."""
        told = False
        while True:
            patiently.check()
            with self._database.snapshot() as uow:
                active = uow.models.active()
            if active is None:
                missing = "no model is active yet"
            elif (held := patiently(self._encoder.describe)["model_version"]) == active.version:
                return active
            else:
                missing = f"the encoder holds model version {held}, the active one is {active.version}"
            if not told:
                log.warning("waiting: %s", missing)
                told = True
            patiently.wait(MODEL_POLL_S)

    def _begin(self, job: Job) -> Video | None:
        """The video, marked as processing where it is to be indexed; None, and the job completed, where it was
        deleted."""
        video_id = str(job.video_id)
        with self._database.transaction() as uow:
            self._check_ours(job)
            video = uow.catalogue.get([video_id]).get(video_id)
            if video is None:
                self._queue.complete(uow, job)
            elif job.kind == INDEX_VIDEO:
                uow.catalogue.mark_processing(video_id)
                uow.progress.clear(video_id)
        return video

    def _end(self, job: Job, video: Video, model: ModelVersion, done: Indexed) -> None:
        with self._database.transaction() as uow:
            now = uow.catalogue.get([video.id]).get(video.id)
            kept = uow.catalogue.mark_indexed(
                video.id, model_version=model.version, media=done.media, segment_count=done.segment_count
            )
            self._queue.complete(uow, job)
            uow.progress.clear(video.id)
            if kept:
                uow.uploads.mark_recommendable(video.id, utc_now())
                plan_playback(uow, self._queue, now or video, done.media)
                self._begin_again_with_new_model(uow, video.id, model)
        if not kept:
            self._indexer.remove(video.id, model)
        elif now is not None and now.category != video.category:  # changed while the row was made
            self._index.recategorise(model, video.id, now.category)

    def _render_video(self, job: Job, patiently: Patience) -> None:
        video = self._begin(job)
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

    def _begin_again_with_new_model(self, uow: UnitOfWork, video_id: str, model: ModelVersion) -> None:
        """Another model may have become the active one meanwhile."""
        active = uow.models.active()
        if active is not None and active.version != model.version:
            self._queue.enqueue(uow, [index_job(video_id)])

    def _create(self, model: ModelVersion) -> None:
        if model.version not in self._created:
            self._index.create(model)
            self._created.add(model.version)

    def _take_back_if_deleted(self, video_id: str) -> None:
        with self._database.snapshot() as uow:
            gone = video_id in uow.catalogue.deleted([video_id])
            models = uow.models.all() if gone else []
        for model in models:
            self._indexer.remove(video_id, model)
        if gone:
            self._renderer.remove(video_id)

    # ------------------------------------------------------------------------------------- beside the jobs

    def _keep(self, over: threading.Event) -> None:
        """Renews leases, gives up exhausted jobs, flushes the index after bursts, forgets old recommendations, asks of
        videos of older releases whether they play."""
        renewed = buried = flushed = 0.0
        pruned = planned = -PRUNE_EVERY_S
        while not over.wait(min(0.5, self._lease_s / 6)):
            now = time.monotonic()
            try:
                if now - renewed >= self._lease_s / 3:
                    renewed = now
                    self._renew()
                if now - buried >= BURY_EVERY_S:
                    buried = now
                    self._bury()
                if now - pruned >= PRUNE_EVERY_S:
                    pruned = now
                    self._prune()
                if now - planned >= PRUNE_EVERY_S and not self._plan_missing():
                    planned = now
                if self._written.is_set() and (not self._leases or now - flushed >= FLUSH_EVERY_S):
                    flushed = now
                    self._flush()
            except Unavailable as error:
                log.warning("waiting: %s", error)
            except Exception:  # without renewal every job would be lost
                log.exception("keeping the leases failed")

    def _sweep_regularly(self, over: threading.Event) -> None:
        """In a thread of its own: a sweep may read large files, and leases cannot wait for that."""
        assert self._sweep is not None
        while True:
            try:
                self._sweep()
            except Unavailable as error:
                log.warning("waiting: %s", error)
            except Exception:  # to be tried again
                log.exception("sweeping failed")
            if over.wait(SWEEP_EVERY_S):
                return

    def _renew(self) -> None:
        for lease in list(self._leases):
            try:
                self._queue.renew(lease.job, lease_s=self._lease_s)
            except LeaseLost:
                lease.lost.set()

    def _bury(self) -> None:
        """Jobs that were begun too often without ending: their videos are failed, with what is known of the reason."""
        with self._database.transaction() as uow:
            for job in self._queue.bury(uow):
                reason = job.last_error or "the worker died each time"
                log.error("%s %s given up after %d attempts: %s", job.kind, job.video_id, job.attempts, reason)
                if job.kind == INDEX_VIDEO:
                    message = f"given up after {job.attempts} attempts: {reason}"
                    uow.catalogue.mark_failed(str(job.video_id), FailureReason.GAVE_UP, message)
                elif job.kind == RENDER_VIDEO:
                    uow.catalogue.set_playback(str(job.video_id), Playback.FAILED)

    def _prune(self) -> None:
        with self._database.transaction() as uow:
            gone = uow.recommendations.prune(utc_now() - timedelta(days=self._recommendation_days))
        if gone:
            log.info("%d recommendations older than %g days forgotten", gone, self._recommendation_days)

    def _plan_missing(self) -> bool:
        with self._database.transaction() as uow:
            return plan_missing(uow, self._queue)

    def _flush(self) -> None:
        """Makes what was written fast to search."""
        if not self._written.is_set():
            return
        self._written.clear()
        try:
            with self._database.snapshot() as uow:
                model = uow.models.active()
            if model is not None:
                self._index.flush(model)
        except Unavailable:
            self._written.set()
            raise
