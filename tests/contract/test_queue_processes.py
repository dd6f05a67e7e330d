"""The job queue under several processes, some of them killed."""

from __future__ import annotations

import time
from collections import Counter

from tests.contract.processes import HEAD, finish_together, start
from tests.contract.test_queue import enqueue, job, state
from tests.servers import wait_until
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import JobQueue
from vidrec.domain.models import JobState

# Takes jobs until none is left and says which; exits at once if a lease is lost.
_WORK = (
    HEAD
    + """
database = SqlDatabase(url)
queue = open_queue(database)
print("ready", flush=True)
sys.stdin.readline()
while (job := queue.lease(["index"], lease_s=60.0)) is not None:
    queue.renew(job, lease_s=60.0)
    with database.transaction() as uow:
        queue.enqueue(uow, [NewJob(kind="done", payload=dict(job.payload))])
        queue.complete(uow, job)
    print(job.payload["number"], flush=True)
"""
)
_HANG = (
    HEAD
    + """
database = SqlDatabase(url)
queue = open_queue(database)
job = queue.lease(["index"], lease_s=1.0)
with database.transaction() as uow:
    queue.enqueue(uow, [NewJob(kind="done", payload={})])
    queue.complete(uow, job)
    print("in the middle", flush=True)
    time.sleep(60)
"""
)


def test_processes_never_share_a_job(database: SqlDatabase, queue: JobQueue, database_url: str) -> None:
    enqueue(database, queue, *(job(i) for i in range(120)))
    outputs = finish_together(_WORK, 3, database_url)
    done = Counter(int(number) for lines in outputs for number in lines)
    assert done == Counter(range(120))
    assert queue.counts() == {JobState.DONE: 120, JobState.QUEUED: 120}
    assert sum(bool(lines) for lines in outputs) > 1


def test_a_job_whose_worker_is_killed_is_leased_again_and_its_effects_undone(
    database: SqlDatabase, queue: JobQueue, database_url: str
) -> None:
    [job_id] = enqueue(database, queue, job())
    worker = start(_HANG, database_url)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "in the middle\n"
    finally:
        worker.kill()
        worker.communicate()
    assert state(queue, job_id) is JobState.RUNNING
    started = time.monotonic()
    wait_until(lambda: queue.lease(["index"], lease_s=30.0) is not None, timeout_s=5.0)
    assert time.monotonic() - started < 3.0
    again = queue.get([job_id])[job_id]
    assert again.attempts == 2
    assert len(queue.list()) == 1
