"""Ten thousand jobs while workers are killed at random: each is done once or given up, none is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.contract.processes import HEAD
from tests.contract.test_queue import enqueue, job
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import JobQueue
from vidrec.domain.models import JobState

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

JOBS, WORKERS, LEASE_S = 500, 4, 2.0
POISON = frozenset(range(100, JOBS, 300))
"""Jobs that kill whoever has them."""
KILL_EVERY_S = 0.4
SPARED = 15
"""So many jobs are done between two kills at least."""
LIMIT_S = 500.0
# The effect of a job is another job, in the transaction that completes it.
_WORK = (
    HEAD
    + """
lease_s, poison = float(sys.argv[2]), {int(number) for number in sys.argv[3].split(",")}
database = SqlDatabase(url)
queue = open_queue(database)
while (job := queue.lease(["index"], lease_s=lease_s)) is not None:
    if job.payload["number"] in poison:
        os.kill(os.getpid(), signal.SIGKILL)
    with database.transaction() as uow:
        queue.enqueue(uow, [NewJob(kind="effect", payload=dict(job.payload))])
        queue.complete(uow, job)
"""
)


def start(url: str) -> subprocess.Popen[bytes]:
    poison = ",".join(map(str, POISON))
    return subprocess.Popen([sys.executable, "-c", _WORK, url, str(LEASE_S), poison], stdin=subprocess.DEVNULL)


def live(queue: JobQueue) -> int:
    """Jobs of ours that wait or run; effects wait for ever."""
    counts = queue.counts()
    return JOBS - counts.get(JobState.DONE, 0) - counts.get(JobState.DEAD, 0)


def test_ten_thousand_jobs_under_random_kills(database: SqlDatabase, queue: JobQueue, database_url: str) -> None:
    dice = random.Random(20261124)
    acknowledged = enqueue(database, queue, *(job(number) for number in range(JOBS)))
    assert len(set(acknowledged)) == JOBS
    workers = [start(database_url) for _ in range(WORKERS)]
    kills, reached = 0, JOBS
    deadline = time.monotonic() + LIMIT_S
    try:
        while left := live(queue):
            assert time.monotonic() < deadline, f"{left} jobs are still there"
            time.sleep(KILL_EVERY_S)  # the pace of the kills, nothing is waited for
            victim = dice.randrange(WORKERS)
            # On a busy machine they would else be killed before they have begun.
            if workers[victim].poll() is None and live(queue) < reached:
                reached = live(queue) - SPARED
                workers[victim].kill()
                kills += 1
            for n, worker in enumerate(workers):
                if worker.poll() is not None:
                    workers[n] = start(database_url)
            with database.transaction() as uow:
                queue.bury(uow)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert kills >= 10, "too few kills to mean anything"
    ended = Counter(found.state for found in queue.get(acknowledged).values())
    assert ended == {JobState.DONE: JOBS - len(POISON), JobState.DEAD: len(POISON)}
    effects = Counter(found.payload["number"] for found in queue.list(state=JobState.QUEUED, limit=2 * JOBS))
    assert effects == Counter(set(range(JOBS)) - POISON)
