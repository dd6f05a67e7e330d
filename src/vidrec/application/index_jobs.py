"""What a worker does to index a video: the transactions around `VideoIndexer`."""

from __future__ import annotations

import logging
import threading
import time

from vidrec.application.index_video import Indexed, VideoIndexer
from vidrec.application.jobs import INDEX_VIDEO, index_job
from vidrec.application.patience import Patience
from vidrec.application.ports import Database, Encoder, FrameSource, JobQueue, MediaStore, UnitOfWork, VectorIndex
from vidrec.application.progress import Reporter
from vidrec.application.render_video import plan_playback
from vidrec.domain.errors import LeaseLost, Unavailable, UnusableMedia
from vidrec.domain.models import Job, ModelVersion, Video, utc_now

log = logging.getLogger(__name__)

MODEL_POLL_S = 1.0
"""How often a worker looks whether the encoder holds the active model version, while it does not."""


class IndexJobs:
    """Does INDEX_VIDEO jobs. Thread-safe."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        index: VectorIndex,
        frames: FrameSource,
        encoder: Encoder,
        store: MediaStore,
    ) -> None:
        self._database = database
        self._queue = queue
        self._index = index
        self._encoder = encoder
        self._indexer = VideoIndexer(index, frames, encoder, store)
        self._written = threading.Event()
        self._created: set[str] = set()

    def do(self, job: Job, patiently: Patience) -> None:
        """Indexes the job's video and completes the job. A file that cannot be used makes the video `failed`; whatever
        `patiently` raises leaves both to be done again."""
        model = self._ready_model(patiently)
        patiently(lambda: self.create(model))
        video = begin(self._database, self._queue, job)
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
        log.info(
            "%s (%s) indexed: %.1f s of video, %d segments, in %.1f s",
            video.title,
            video.id,
            done.media.duration_s,
            done.segment_count,
            time.monotonic() - started,
        )

    def create(self, model: ModelVersion) -> None:
        """Makes the model's collections ready, where this was not done yet."""
        if model.version not in self._created:
            self._index.create(model)
            self._created.add(model.version)

    def remove(self, video_id: str, model: ModelVersion) -> None:
        """Takes back what was written of a video."""
        self._indexer.remove(video_id, model)

    @property
    def unflushed(self) -> bool:
        """Whether something was written since the last flush."""
        return self._written.is_set()

    def flush(self) -> None:
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

    def _begin_again_with_new_model(self, uow: UnitOfWork, video_id: str, model: ModelVersion) -> None:
        """Another model may have become the active one meanwhile."""
        active = uow.models.active()
        if active is not None and active.version != model.version:
            self._queue.enqueue(uow, [index_job(video_id)])


def begin(database: Database, queue: JobQueue, job: Job) -> Video | None:
    """The job's video, marked as processing where it is to be indexed; None, and the job completed, where it was
    deleted. LeaseLost."""
    video_id = str(job.video_id)
    with database.transaction() as uow:
        check_ours(queue, job)
        video = uow.catalogue.get([video_id]).get(video_id)
        if video is None:
            queue.complete(uow, job)
        elif job.kind == INDEX_VIDEO:
            uow.catalogue.mark_processing(video_id)
            uow.progress.clear(video_id)
    return video


def check_ours(queue: JobQueue, job: Job) -> None:
    """LeaseLost where another worker has the job. Called in a transaction: the job then stays ours to its end."""
    now = queue.get([job.id]).get(job.id)
    if now is None or now.lease_token != job.lease_token:
        raise LeaseLost(f"job {job.id} is not ours any more")
