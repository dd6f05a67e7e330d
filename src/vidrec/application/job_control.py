"""What an operator does with single jobs: try dead ones again, end others. The videos they are about follow."""

from __future__ import annotations

from vidrec.application.jobs import ERASE_VIDEO, INDEX_VIDEO, RENDER_VIDEO
from vidrec.application.ports import Database, JobQueue, UnitOfWork
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.models import Job, JobState, Playback

CANCELLED = "its indexing was cancelled"


class JobControl:
    """Thread-safe."""

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._database = database
        self._queue = queue

    def retry(self, job_id: str) -> Job:
        """A dead job waits again, with all its attempts before it, and so does its video. NotFound; Conflict where the
        job is not dead, or where the same work waits or runs under another id."""
        job = self._get(job_id)
        if job.state is not JobState.DEAD:
            raise Conflict(f"job {job_id} is {job.state}: only dead jobs are tried again")
        with self._database.transaction() as uow:
            if job.kind == INDEX_VIDEO:
                uow.catalogue.requeue([str(job.video_id)])
            elif job.kind == RENDER_VIDEO:
                uow.catalogue.set_playback(str(job.video_id), Playback.PREPARING)
            revived = self._queue.revive(uow, job_id)
            if revived is None:
                raise Conflict(f"job {job_id} is not tried again: the same work waits or runs already")
        return revived

    def cancel(self, job_id: str) -> JobState:
        """Ends a job that waits; one that runs loses its lease, so that its worker stops. Its video is `failed` then,
        to be taken in again at will. Answers the state in which the job was. NotFound; Conflict where it has ended, or
        where it removes a deleted video, which was promised."""
        job = self._get(job_id)
        if job.kind == ERASE_VIDEO:
            raise Conflict(f"job {job_id} removes a deleted video: that was promised, and cannot be cancelled")
        with self._database.transaction() as uow:
            self._fail_video(uow, job)
            if not self._queue.cancel(uow, job_id=job_id):
                raise Conflict(f"job {job_id} is {self._get(job_id).state}: there is nothing left to cancel")
        return job.state

    def _fail_video(self, uow: UnitOfWork, job: Job) -> None:
        if job.kind == INDEX_VIDEO:
            uow.catalogue.mark_failed(str(job.video_id), FailureReason.GAVE_UP, CANCELLED)
        elif job.kind == RENDER_VIDEO:
            uow.catalogue.set_playback(str(job.video_id), Playback.FAILED)

    def _get(self, job_id: str) -> Job:
        job = self._queue.get([job_id]).get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id}")
        return job
