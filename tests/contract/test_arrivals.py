"""Idle workers on PostgreSQL: they hear of new jobs, and ask seldom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.servers import wait_until
from vidrec.adapters.procrastinate_arrivals import Arrivals
from vidrec.adapters.procrastinate_queue import ProcrastinateQueue
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import NewJob

KINDS = ["index"]


@pytest.fixture
def database(postgres_url: str) -> Iterator[SqlDatabase]:
    with closing(SqlDatabase(postgres_url)) as database:
        yield database


@pytest.fixture
def arrivals(database: SqlDatabase) -> Iterator[Arrivals]:
    with closing(Arrivals(database)) as arrivals:
        wait_until(lambda: arrivals.heard is not None)
        yield arrivals


def enqueue(url: str) -> str:
    """As another process does it."""
    with closing(SqlDatabase(url)) as other, other.transaction() as uow:
        [job_id] = ProcrastinateQueue(other).enqueue(uow, [NewJob(kind="index", payload={})])
    return job_id


def test_an_idle_worker_asks_seldom_and_hears_of_new_jobs(
    database: SqlDatabase, arrivals: Arrivals, postgres_url: str
) -> None:
    queue = ProcrastinateQueue(database, arrivals=arrivals)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    assert queue.lease(KINDS, lease_s=30) is None
    event.listen(database._engine, "before_cursor_execute", note)
    assert [queue.lease(KINDS, lease_s=30) for _ in range(100)] == [None] * 100
    event.remove(database._engine, "before_cursor_execute", note)
    assert len(asked) <= 4  # once more, should two seconds have passed on a busy machine
    job_id = enqueue(postgres_url)
    began = time.monotonic()
    wait_until(lambda: (found := queue.lease(KINDS, lease_s=30)) is not None and found.id == job_id)
    assert time.monotonic() - began < 1.5


def test_a_worker_that_lost_its_ear_asks_as_before(
    database: SqlDatabase, arrivals: Arrivals, postgres_url: str
) -> None:
    queue = ProcrastinateQueue(database, arrivals=arrivals)
    assert queue.lease(KINDS, lease_s=30) is None
    deafen = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'")
    with database.transaction() as uow:
        uow.connection.execute(deafen)
    wait_until(lambda: arrivals.heard is None)
    job_id = enqueue(postgres_url)
    wait_until(lambda: (found := queue.lease(KINDS, lease_s=30)) is not None and found.id == job_id)
    wait_until(lambda: arrivals.heard is not None)
