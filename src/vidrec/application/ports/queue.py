"""Work that waits to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def cancel(self, uow: UnitOfWork, *, job_id: str | None = None, video_id: str | None = None) -> int:
        """Cancels queued and running jobs, by job or by video; a running one's lease is lost. Answers how many."""
        ...

    def get(self, job_ids: Sequence[str]) -> Mapping[str, Job]: ...

    def list(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        """Newest first."""
        ...

    def counts(self) -> Mapping[JobState, int]: ...

    def oldest_wait_s(self) -> float:
        """For how many seconds the job that is due longest has waited for a worker; 0 where none waits."""
        ...
