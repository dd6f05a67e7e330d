"""How the core tells what it does and how long that takes, without knowing who listens."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from vidrec.domain.models import Job


class Observe(Protocol):
    """Called with the name of a step, around which the context that it answers is entered and left."""

    def __call__(self, step: str, /) -> AbstractContextManager[object]: ...


class AroundJob(Protocol):
    """Called with a job, around the work on which the context that it answers is entered and left."""

    def __call__(self, job: Job, /) -> AbstractContextManager[object]: ...


def unobserved(_step: object, /) -> AbstractContextManager[object]:
    """Nobody listens; to steps and to jobs."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Observers:
    """Who listens to a worker."""

    step: Observe = unobserved
    """To the stages of indexing."""
    job: AroundJob = unobserved
    """To the work on each job."""
