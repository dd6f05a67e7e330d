"""The job queue and the SQL store under several processes, some of them killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.sql import add
from tests.contract.test_queue import enqueue, job, state
from tests.servers import wait_until
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.domain.models import JobState

_HEAD = """
import sys, time
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.domain.models import NewJob
url = sys.argv[1]
"""
# Takes jobs until none is left and says which; exits at once if a lease is lost.
_WORK = """
database = SqlDatabase(url)
queue = SqliteQueue(database)
print("ready", flush=True)
sys.stdin.readline()
while (job := queue.lease(["index"], lease_s=60.0)) is not None:
    queue.renew(job, lease_s=60.0)
    with database.transaction() as uow:
        queue.enqueue(uow, [NewJob(kind="done", payload=dict(job.payload))])
        queue.complete(uow, job)
    print(job.payload["number"], flush=True)
"""
_HANG = """
database = SqlDatabase(url)
queue = SqliteQueue(database)
job = queue.lease(["index"], lease_s=1.0)
with database.transaction() as uow:
    queue.enqueue(uow, [NewJob(kind="done", payload={})])
    queue.complete(uow, job)
    print("in the middle", flush=True)
    time.sleep(60)
"""
_MIGRATE = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(4):
    migrate(f"{url}.{number}")
    SqlDatabase(f"{url}.{number}").ping()
"""


def start(code: str, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", _HEAD + code, url]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def finish_together(code: str, url: str, count: int) -> list[list[str]]:
    """Starts so many processes, lets them go at the same moment; the lines that each one wrote."""
    processes = [start(code, url) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            outputs.append(out.split())
        return outputs
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_processes_never_share_a_job(database: SqlDatabase, queue: SqliteQueue, database_url: str) -> None:
    enqueue(database, queue, *(job(i) for i in range(120)))
    outputs = finish_together(_WORK, database_url, 4)
    done = Counter(int(number) for lines in outputs for number in lines)
    assert done == Counter(range(120))
    assert queue.counts() == {JobState.DONE: 120, JobState.QUEUED: 120}
    assert sum(bool(lines) for lines in outputs) > 1


def test_a_job_whose_worker_is_killed_is_leased_again_and_its_effects_undone(
    database: SqlDatabase, queue: SqliteQueue, database_url: str
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


def test_migrating_twice_changes_nothing(database_url: str, database: SqlDatabase) -> None:
    video = add(database)
    migrate(database_url)
    database.ping()
    with database.snapshot() as uow:
        assert uow.catalogue.get([video.id]) == {video.id: video}


def test_processes_migrate_one_new_database_at_once(tmp_path: Path) -> None:
    finish_together(_MIGRATE, f"sqlite:///{tmp_path / 'new.db'}", 3)


@pytest.mark.parametrize("killed_after_s", [0.1, 0.2])
def test_a_killed_migration_is_done_by_the_next(tmp_path: Path, killed_after_s: float) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    process = start(_MIGRATE, url)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(killed_after_s)  # the moment of the kill is the parameter, nothing is waited for
    finally:
        process.kill()
        process.communicate()
    migrate(f"{url}.0")
    with closing(SqlDatabase(f"{url}.0")) as database:
        database.ping()
        add(database)
