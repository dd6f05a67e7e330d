"""What a worker does to index a video: the transactions around `VideoIndexer`, and which model version is meant."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from vidrec.application.index_video import Indexed, VideoIndexer
from vidrec.application.jobs import BESIDE, INDEX_VIDEO, fold_job, index_job
from vidrec.application.patience import Patience
from vidrec.application.ports import Database, Encoder, JobQueue, ModelRoles, UnitOfWork, VectorIndex
from vidrec.application.progress import report_video
from vidrec.application.render_video import plan_playback
from vidrec.application.split_video import end_split, is_encoded, is_shared, split_video
from vidrec.domain.errors import EncoderUnavailable, FailureReason, Unavailable, UnusableMedia
from vidrec.domain.models import Job, MediaInfo, ModelVersion, TimeRange, Video, VideoStatus, utc_now
from vidrec.domain.segmentation import ranges

log = logging.getLogger(__name__)

MODEL_POLL_S = 1.0
"""How often a worker looks whether an encoder holds the model version that it needs, while none does."""
BESIDE_WAIT_S = 30.0
"""How long a job for another version than the active one may wait for that: others could be done meanwhile."""


class IndexJobs:
    """Does INDEX_VIDEO jobs, and begins and ends the work on split videos. Thread-safe."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        index: VectorIndex,
        encoder: Encoder,
        indexer: VideoIndexer,
        *,
        split_s: float,
    ) -> None:
        """`split_s`: see `domain.segmentation.ranges`."""
        self._database = database
        self._queue = queue
        self._index = index
        self._encoder = encoder
        self._indexer = indexer
        self._split_s = split_s
        self._written: set[str] = set()
        self._unflushed = threading.Lock()
        self._created: set[str] = set()

    def do(self, job: Job, patiently: Patience) -> None:
        """Indexes the job's video and completes the job, or splits the video. A file that cannot be used makes the
        video `failed`; whatever `patiently` raises leaves both to be done again."""
        model = self.ready_model(job, patiently)
        if model is None:
            self.drop(job)
            return
        patiently(lambda: self.create(model))
        video = self._begin(job, model)
        if video is None:
            return
        started = time.monotonic()
        try:
            with self._indexer.opened(video, patiently) as opened:
                planned = ranges(opened.media.duration_s, self._split_s)
                if len(planned) > 1:
                    self._split(job, video, model, opened.media, planned)
                    return
                done = self._indexer.index(opened, model, patiently, report_video(self._database, video.id))
        except UnusableMedia as error:
            log.info("%s (%s) failed: %s", video.title, video.id, error)
            with self._database.transaction() as uow:
                self._queue.complete(uow, job)  # first: another one for this video may follow from the failure
                self.note_failure(uow, video.id, model.version, error.reason, str(error))
            return
        self.end(job, video, model, done)
        told(video, done, started)

    def ready_model(self, job: Job, patiently: Patience) -> ModelVersion | None:
        """The model version that the job is for, once there is one and an encoder serves it; None where the one it
        names is not registered any more. EncoderUnavailable where no encoder serves one beside the active one for a
        while."""
        began = time.monotonic()
        last = ""
        while True:
            patiently.check()
            model, active = self.model_of(job)
            if model is None and "model_version" in job.payload:
                return None
            if model is None:
                missing = "no model is active yet"
            elif patiently(partial(self._encoder.serves, model.version)):
                return model
            else:
                missing = f"no encoder serves model version {model.version}"
                if model != active and time.monotonic() - began > BESIDE_WAIT_S:
                    raise EncoderUnavailable(missing)
            if missing != last:
                log.warning("waiting: %s", missing)
                last = missing
            patiently.wait(MODEL_POLL_S)

    def model_of(self, job: Job) -> tuple[ModelVersion | None, ModelVersion | None]:
        """The model version that the job is for, where it is registered, and the active one."""
        named = job.payload.get("model_version")
        with self._database.snapshot() as uow:
            active = uow.models.active()
            known = {model.version: model for model in uow.models.all()} if named else {}
        return (known.get(str(named)) if named else active), active

    def end(self, job: Job, video: Video, model: ModelVersion, done: Indexed, *, folded: bool = False) -> None:
        """Makes the video recommendable, now that its vectors are written, and completes the job; `folded`: the split
        is over too. What was written of a video that is deleted is taken back. LeaseLost."""
        with self._unflushed:
            self._written.add(model.version)
        with self._database.transaction() as uow:
            before = uow.catalogue.get([video.id], model_version=model.version).get(video.id)
            kept = uow.catalogue.mark_indexed(
                video.id, model_version=model.version, media=done.media, segment_count=done.segment_count
            )
            now = uow.catalogue.get([video.id]).get(video.id)  # after its row is ours: a new category is in it
            self._queue.complete(uow, job)
            uow.progress.clear(video.id)
            if folded:
                end_split(uow, self._queue, video.id, model.version)
            if kept and before is not None:
                uow.uploads.mark_recommendable(video.id, utc_now())
                roles = uow.models.roles()
                if before.status is not VideoStatus.INDEXED or roles.active in (None, model):
                    plan_playback(uow, self._queue, now or before, done.media)
                self._index_for_others(uow, video.id, roles)
        if not kept:
            self._indexer.remove(video.id, model)
        elif now is not None and now.category != video.category:  # changed while the row was made
            self._indexer.recategorise(model, video.id, now.category)

    def note_failure(
        self, uow: UnitOfWork, video_id: str, model_version: str, reason: FailureReason, message: str
    ) -> None:
        """The video cannot be indexed under this model version. It is `failed` unless it can be recommended, or waits
        to be tried with the version that became active meanwhile."""
        video = uow.catalogue.get([video_id]).get(video_id)
        if video is None:
            return
        active = uow.models.active()
        if video.status is VideoStatus.INDEXED:
            uow.catalogue.mark_unindexable(video_id, model_version, reason, message)
        elif active is None or active.version == model_version:
            uow.catalogue.mark_failed(video_id, reason, message)
        else:
            uow.catalogue.requeue([video_id])
            self._queue.enqueue(uow, [index_job(video_id)])

    def drop(self, job: Job) -> None:
        """Completes a job that has nothing to do any more."""
        with self._database.transaction() as uow:
            self._queue.complete(uow, job)

    def create(self, model: ModelVersion) -> None:
        """Makes the model's collections ready, where this was not done yet."""
        if model.version not in self._created:
            self._index.create(model)
            self._created.add(model.version)

    @property
    def unflushed(self) -> bool:
        """Whether something was written since the last flush."""
        return bool(self._written)

    def flush(self) -> None:
        """Makes what was written fast to search."""
        with self._unflushed:
            written, self._written = self._written, set()
        try:
            with self._database.snapshot() as uow:
                models = uow.models.all() if written else []
            for model in models:
                if model.version in written:
                    self._index.flush(model)
        except Unavailable:
            with self._unflushed:
                self._written |= written
            raise

    def _begin(self, job: Job, model: ModelVersion) -> Video | None:
        """As `begin`; None, and the job completed, also where the video's ranges are being worked on already, or wait
        for nothing but the fold."""
        video = begin(self._database, self._queue, job, model.version)
        if video is None:
            return None
        if is_shared(self._database, self._queue, video.id, model.version):
            self.drop(job)
            return None
        with self._database.transaction() as uow:
            if not is_encoded(uow, video.id, model.version):
                return video
            self._queue.enqueue(uow, [fold_job(video.id, model.version, priority=job.priority)])
            self._queue.complete(uow, job)
        return None

    def _split(self, job: Job, video: Video, model: ModelVersion, media: MediaInfo, planned: list[TimeRange]) -> None:
        with self._database.transaction() as uow:
            split_video(uow, self._queue, job, model.version, media, planned)
        log.info("%s (%s): %.0f s of video in %d ranges", video.title, video.id, media.duration_s, len(planned))

    def _index_for_others(self, uow: UnitOfWork, video_id: str, roles: ModelRoles) -> None:
        """Another model may have become the active one meanwhile, or one may be prepared beside it."""
        done = uow.catalogue.versions(video_id)
        if roles.active is not None and roles.active.version not in done:
            self._queue.enqueue(uow, [index_job(video_id)])
        if roles.prepared is not None and roles.prepared.version not in done:
            self._queue.enqueue(uow, [index_job(video_id, roles.prepared.version, priority=BESIDE)])


def begin(database: Database, queue: JobQueue, job: Job, model_version: str | None = None) -> Video | None:
    """The job's video as it is under this model version, marked as processing where it is not recommendable yet; None,
    and the job completed, where it was deleted. LeaseLost."""
    video_id = str(job.video_id)
    with database.transaction() as uow:
        video = uow.catalogue.get([video_id], model_version=model_version).get(video_id)
        if video is not None and model_version is not None:
            uow.catalogue.mark_processing(video_id)
            if job.kind == INDEX_VIDEO:
                uow.progress.clear(video_id)
        queue.hold(uow, job)
        if video is None:
            queue.complete(uow, job)
    return video


def told(video: Video, done: Indexed, started: float) -> None:
    """Logs that a video is indexed; `started`: when that was begun, by the monotonic clock."""
    log.info(
        "%s (%s) indexed: %.1f s of video, %d segments, in %.1f s",
        video.title,
        video.id,
        done.media.duration_s,
        done.segment_count,
        time.monotonic() - started,
    )
