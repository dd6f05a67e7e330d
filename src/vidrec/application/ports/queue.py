"""Work that waits to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from vidrec.application.ports.sql import UnitOfWork
from vidrec.domain.models import Job, JobState, NewJob


class JobQueue(Protocol):
    """At-least-once work. A leased job that is not renewed in time is leased to somebody else; after
    `max_attempts` leases it is exhausted."""

    def enqueue(self, uow: UnitOfWork, jobs: Sequence[NewJob]) -> Sequence[str]:
        """Takes part in the caller's transaction; answers the ids in order."""
        ...

    def lease(self, kinds: Sequence[str], *, lease_s: float) -> Job | None:
        """The next job that is due (priority, then age), leased to the caller under a new token; None where none is
        due. A job never has two live tokens."""
        ...

    def due(self, kinds: Sequence[str]) -> bool:
        """Whether `lease` would find a job of these kinds now."""
        ...

    def renew(self, job: Job, *, lease_s: float) -> None:
        """Extends the lease; LeaseLost."""
        ...

    def hold(self, uow: UnitOfWork, job: Job) -> None:
        """The job stays the caller's to the end of the transaction; LeaseLost. Where the transaction also writes the
        job's video, write that first: everybody takes the two in this order."""
        ...

    def complete(self, uow: UnitOfWork, job: Job) -> None:
        """Done, in the same transaction as the job's effects; LeaseLost rolls both back."""
        ...

    def retry(self, job: Job, error: str) -> None:
        """Queued again after a backoff that grows with the attempts (or exhausted: see `bury`); nothing where the
        lease is lost."""
        ...

    def release(self, job: Job) -> None:
        """Gives an unfinished job back at once without counting the attempt (a worker that shuts down); nothing where
        the lease is lost."""
        ...

    def fail(self, uow: UnitOfWork, job: Job, error: str) -> None:
        """Dead at once, for work that can never succeed; in the caller's transaction; LeaseLost."""
        ...

    def bury(self, uow: UnitOfWork) -> Sequence[Job]:
        """Moves exhausted jobs (attempts used up and no live lease) to `dead` and answers them."""
        ...

    def revive(self, uow: UnitOfWork, job_id: str) -> Job | None:
        """A dead job waits again, with all its attempts before it. None (and nothing written) where there is no dead
        job of this id, or where another one of its `dedupe_key` waits or runs."""
        ...

    def cancel(self, uow: UnitOfWork, *, job_id: str | None = None, video_id: str | None = None) -> int:
        """Cancels queued and running jobs, by job or by video; a running one's lease is lost. Answers how many."""
        ...

    def get(self, job_ids: Sequence[str]) -> Mapping[str, Job]: ...

    def live(self, uow: UnitOfWork, video_id: str) -> Sequence[Job]:
        """The queued and running jobs of a video, as the caller's transaction sees them, oldest first."""
        ...

    def list(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        """Newest first."""
        ...

    def due_since(self) -> datetime | None:
        """Since when the job that has been due for the longest time waits; None where none is due."""
        ...

    def prune(self, uow: UnitOfWork, older_than: datetime) -> int:
        """Removes jobs that were done or cancelled before; answers how many. Dead ones stay, to be looked into."""
        ...

    def counts(self) -> Mapping[JobState, int]: ...
