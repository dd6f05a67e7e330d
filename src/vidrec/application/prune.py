"""What is kept for a time only is forgotten when it is over."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from vidrec.application.ports import Database, JobQueue
from vidrec.domain.models import utc_now

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten."""

    recommendations: int = 0
    """Records of answers, which can be looked up and paged no more."""
    jobs: int = 0
    """Of those that are done or cancelled."""


def prune(database: Database, queue: JobQueue, *, recommendation_days: float, job_days: float) -> Pruned:
    """Forgets records of recommendations and ended jobs that are older than that. Any number may run at once."""
    now = utc_now()
    with database.transaction() as uow:
        gone = uow.recommendations.prune(now - timedelta(days=recommendation_days))
        ended = queue.prune(uow, now - timedelta(days=job_days))
    if gone or ended:
        log.info("%d old recommendations and %d old jobs forgotten", gone, ended)
    return Pruned(gone, ended)
