"""What a worker does for the ranges of a split video: encode one, fold all, clear up."""

from __future__ import annotations

import logging
import time

from vidrec.application import partials
from vidrec.application.index_jobs import IndexJobs, begin, told
from vidrec.application.index_video import VideoIndexer
from vidrec.application.jobs import CLEAR_PARTIALS, INDEX_RANGE, fold_job, index_job
from vidrec.application.patience import Patience
from vidrec.application.ports import Database, JobQueue, MediaStore, SplitRange, UnitOfWork
from vidrec.application.progress import report_range
from vidrec.application.split_video import end_split
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import Job, JobState, MediaInfo, ModelVersion, Video

log = logging.getLogger(__name__)


class SplitJobs:
    """Does INDEX_RANGE, FOLD_VIDEO and CLEAR_PARTIALS jobs. Thread-safe."""

    def __init__(
        self, database: Database, queue: JobQueue, store: MediaStore, indexing: IndexJobs, indexer: VideoIndexer
    ) -> None:
        self._database = database
        self._queue = queue
        self._store = store
        self._indexing = indexing
        self._indexer = indexer

    def do(self, job: Job, patiently: Patience) -> None:
        """Does the job and completes it; see `IndexJobs.do`."""
        if job.kind == CLEAR_PARTIALS:
            patiently(lambda: self._clear(job))
        elif job.kind == INDEX_RANGE:
            self._encode(job, patiently)
        else:
            self._fold(job, patiently)

    def fail(self, uow: UnitOfWork, job: Job, reason: FailureReason, message: str) -> None:
        """One range or the fold failed for good: so did the video, and the other ranges are cancelled."""
        video_id, version = str(job.video_id), _version(job)
        self._indexing.note_failure(uow, video_id, version, reason, message)
        end_split(uow, self._queue, video_id, version, but=job)

    def put_back(self, uow: UnitOfWork, job: Job) -> None:
        """A video of which nobody works on a range any more is shown as waiting."""
        found = uow.splits.ranges(str(job.video_id), _version(job))
        others = self._queue.get([each.job_id for each in found if each.job_id != job.id])
        if all(other.state is not JobState.RUNNING for other in others.values()):
            uow.catalogue.requeue([str(job.video_id)])

    def take_back_if_over(self, job: Job) -> None:
        """Removes what a range may have kept of a video that is not split any more."""
        if job.kind != INDEX_RANGE:
            return
        with self._database.snapshot() as uow:
            over = uow.splits.media(str(job.video_id), _version(job)) is None
        if over:
            self._store.delete(partials.prefix(str(job.video_id), _version(job)))

    def _encode(self, job: Job, patiently: Patience) -> None:
        model = self._indexing.ready_model(job, patiently)
        begun = self._begin(job, model)
        if model is None or begun is None:
            return
        video, media, ranges = begun
        mine = ranges[int(job.payload["number"])]
        report = report_range(self._database, video.id, model.version, mine.number, mine.time.start_s)
        try:
            with self._indexer.opened(video, patiently, media) as opened:
                self._indexer.encode_range(opened, mine.time, model, patiently, report)
        except UnusableMedia as error:
            log.info("%s (%s), range %d failed: %s", video.title, video.id, mine.number, error)
            with self._database.transaction() as uow:
                self.fail(uow, job, error.reason, str(error))
                self._queue.complete(uow, job)
            return
        with self._database.transaction() as uow:
            left = uow.splits.finish(video.id, model.version, mine.number)
            if left == 0:
                self._queue.enqueue(uow, [fold_job(video.id, model.version, priority=job.priority)])
            self._queue.complete(uow, job)
        log.info("%s (%s): range %d of %d is encoded", video.title, video.id, mine.number + 1, len(ranges))

    def _fold(self, job: Job, patiently: Patience) -> None:
        model, _ = self._indexing.model_of(job)
        begun = self._begin(job, model)
        if model is None or begun is None:
            return
        video, media, ranges = begun
        started = time.monotonic()
        patiently(lambda: self._indexing.create(model))
        try:
            done = self._indexer.fold(video, media, [each.time for each in ranges], model, patiently)
        except UnusableMedia as error:
            with self._database.transaction() as uow:
                self.fail(uow, job, error.reason, str(error))
                self._queue.complete(uow, job)
            return
        except NotFound as error:
            log.warning("%s (%s) is split again: %s", video.title, video.id, error)
            with self._database.transaction() as uow:
                self._queue.complete(uow, job)
                uow.splits.end(video.id, model.version)
                self._queue.enqueue(uow, [index_job(video.id, model.version, priority=job.priority)])
            return
        self._indexing.end(job, video, model, done, folded=True)
        told(video, done, started)

    def _begin(self, job: Job, model: ModelVersion | None) -> tuple[Video, MediaInfo, list[SplitRange]] | None:
        """What the job is about; None, and the job completed, where video or model are gone, or it is not split any
        more."""
        if model is None:
            self._indexing.drop(job)
            return None
        video = begin(self._database, self._queue, job, model.version)
        if video is None:
            return None
        with self._database.snapshot() as uow:
            media = uow.splits.media(video.id, _version(job))
            ranges = list(uow.splits.ranges(video.id, _version(job)))
        if media is None:
            self._indexing.drop(job)
            return None
        return video, media, ranges

    def _clear(self, job: Job) -> None:
        video_id, version = str(job.video_id), _version(job)
        with self._database.snapshot() as uow:
            split_again = uow.splits.media(video_id, version) is not None
        if not split_again:
            self._store.delete(partials.prefix(video_id, version))
        self._indexing.drop(job)


def _version(job: Job) -> str:
    return str(job.payload["model_version"])
