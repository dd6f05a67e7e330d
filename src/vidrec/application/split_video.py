"""Splitting a long video into ranges that any worker takes, in SQL: what is planned, and what ends it."""

from __future__ import annotations

from collections.abc import Sequence

from vidrec.application.jobs import clear_job, range_job
from vidrec.application.ports import Database, JobQueue, UnitOfWork
from vidrec.domain.models import Job, JobState, MediaInfo, TimeRange

LIVE = (JobState.QUEUED, JobState.RUNNING)


def split_video(
    uow: UnitOfWork, queue: JobQueue, job: Job, model_version: str, media: MediaInfo, ranges: Sequence[TimeRange]
) -> None:
    """Plans one job a range and completes the job that planned them."""
    video_id = str(job.video_id)
    jobs = [range_job(video_id, model_version, number, priority=job.priority) for number in range(len(ranges))]
    uow.splits.begin(video_id, model_version, media, ranges, queue.enqueue(uow, jobs))
    queue.complete(uow, job)


def end_split(uow: UnitOfWork, queue: JobQueue, video_id: str, model_version: str, *, but: Job | None = None) -> None:
    """Cancels the ranges that are not finished, except that of the job `but`, forgets the split, and queues the removal
    of what was kept."""
    for job_id in uow.splits.end(video_id, model_version):
        if but is None or job_id != but.id:
            queue.cancel(uow, job_id=job_id)
    queue.enqueue(uow, [clear_job(video_id, model_version)])


def is_shared(database: Database, queue: JobQueue, video_id: str, model_version: str) -> bool:
    """Whether there are ranges that are not finished, all with a job that waits or runs."""
    with database.snapshot() as uow:
        found = uow.splits.ranges(video_id, model_version)
    waiting = [each.job_id for each in found if not each.finished]
    states = [job.state for job in queue.get(waiting).values()]
    return bool(waiting) and len(states) == len(waiting) and all(state in LIVE for state in states)


def is_encoded(uow: UnitOfWork, video_id: str, model_version: str) -> bool:
    """Whether all ranges of a split video are finished."""
    found = uow.splits.ranges(video_id, model_version)
    return bool(found) and all(each.finished for each in found)
