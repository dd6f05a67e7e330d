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
from dataclasses import dataclass, field

from vidrec.application.handle_jobs import BESIDES, KINDS, JobHandler
from vidrec.application.patience import Patience, Stopping
from vidrec.application.ports import (
    Database,
    Encoder,
    FrameSource,
    JobQueue,
    MediaStore,
    Observers,
    Renderer,
    VectorIndex,
)
from vidrec.application.prune import prune
from vidrec.application.render_video import plan_missing
from vidrec.domain.errors import LeaseLost, ModelVersionMismatch, Unavailable
from vidrec.domain.models import Job, JobState

log = logging.getLogger(__name__)

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
        job_days: float = 7.0,
        split_s: float = 600.0,
        drain_s: float = 0.0,
        sweep: Callable[[], object] | None = None,
        observers: Observers = Observers(),  # noqa: B008 - it is frozen
    ) -> None:
        """`split_s`: longer videos are split, see `domain.segmentation.ranges`. `drain_s`: so long jobs that were begun
        go on once the worker is told to stop. `sweep`: what is to be looked for again
        and again, such as uploads that nobody told of."""
        self._database = database
        self._queue = queue
        self._jobs = JobHandler(
            database,
            queue,
            index,
            frames,
            encoder,
            store,
            renderer,
            split_s=split_s,
            lease_s=lease_s,
            observe=observers.step,
        )
        self._around_job = observers.job
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._concurrency = concurrency
        self._patience_s = patience_s
        self._recommendation_days = recommendation_days
        self._job_days = job_days
        self._drain_s = drain_s
        self._sweep = sweep
        self._stop = threading.Event()
        self._give_back = self._stop
        self._leases: set[_Lease] = set()

    def run(self, stop: threading.Event, *, until_empty: bool = False) -> None:
        """Works until `stop` is set, or with `until_empty` until no job is queued or running anywhere. No job is
        begun after the stop; one that is not done `drain_s` later is given back at once, without counting the
        attempt."""
        self._stop = stop
        self._give_back = threading.Event() if self._drain_s else stop
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
        self._jobs.warm_up()
        for thread in threads:
            thread.start()
        log.info("looking for work, %d jobs at a time", self._concurrency)
        self._wait_for(threads)
        over.set()
        keeper.join()
        try:
            self._jobs.indexing.flush()
        except Unavailable as error:
            log.warning("the vector index was not flushed: %s", error)

    def _wait_for(self, threads: Sequence[threading.Thread]) -> None:
        stopped_at = None
        for thread in threads:
            while thread.is_alive():
                thread.join(SIGNAL_S)
                if stopped_at is None and self._stop.is_set():
                    stopped_at = time.monotonic()
                    if self._leases:
                        log.info("told to end; %d jobs were begun", len(self._leases))
                if stopped_at is not None and time.monotonic() - stopped_at >= self._drain_s:
                    self._give_back.set()

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
                self._do(job, Patience(lost=lease.lost, stop=self._give_back, limit_s=self._patience_s))
        finally:
            self._leases.discard(lease)

    def _do(self, job: Job, patiently: Patience) -> None:
        """Does the job, or gives it back in the way that fits what went wrong."""
        try:
            self._jobs.do(job, patiently)
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
        self._jobs.take_back(job)

    def _release(self, job: Job) -> None:
        self._jobs.put_back(job)
        self._queue.release(job)

    def _retry(self, job: Job, error: str) -> None:
        self._jobs.put_back(job)
        self._queue.retry(job, error)

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
                if self._jobs.indexing.unflushed and (not self._leases or now - flushed >= FLUSH_EVERY_S):
                    flushed = now
                    self._jobs.indexing.flush()
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
                self._jobs.give_up(uow, job, reason)

    def _prune(self) -> None:
        prune(
            self._database,
            self._queue,
            recommendation_days=self._recommendation_days,
            job_days=self._job_days,
        )

    def _plan_missing(self) -> bool:
        with self._database.transaction() as uow:
            return plan_missing(uow, self._queue)
