"""What is asked with every request is answered from an index on PostgreSQL, however large the tables are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event

from tests.contract.sql import add
from vidrec.adapters.procrastinate_queue import ProcrastinateQueue
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.jobs import index_job
from vidrec.application.ports import UnitOfWork
from vidrec.domain.models import new_id

ID = new_id()
QUERIES: dict[str, Callable[[UnitOfWork], object]] = {
    "videos by id": lambda uow: uow.catalogue.get([ID]),
    "what may be shown": lambda uow: uow.catalogue.recommendable([ID]),
    "external ids": lambda uow: uow.catalogue.resolve(["x"]),
    "deleted": lambda uow: uow.catalogue.deleted([ID]),
    "same bytes": lambda uow: uow.catalogue.find_by_sha256(["0" * 64]),
    "same place": lambda uow: uow.catalogue.find_by_location(["file:///x"]),
    "newest": lambda uow: uow.catalogue.page(query=None, category=None, status=None, after=ID, limit=50),
    "newest of a category": lambda uow: uow.catalogue.page(query=None, category="x", status=None, after=None, limit=50),
    "popular": lambda uow: uow.catalogue.popular(200),
    "recent": lambda uow: uow.catalogue.recent(200),
    "cutoff": lambda uow: uow.interactions.cutoff("mina"),
    "history": lambda uow: uow.interactions.history("mina"),
    "seen": lambda uow: uow.interactions.seen("mina"),
    "profile": lambda uow: uow.profiles.get("mina", "m"),
    "recommendation": lambda uow: uow.recommendations.get(ID),
    "receipt": lambda uow: uow.receipts.get(ID),
    "traces of a user": lambda uow: uow.traces.of_user("u"),
    "upload": lambda uow: uow.uploads.find("b", "k"),
    "uploads that wait": lambda uow: uow.uploads.waiting(100),
    "progress": lambda uow: uow.progress.get([ID]),
}


@pytest.fixture
def database(postgres_url: str) -> Iterator[SqlDatabase]:
    with closing(SqlDatabase(postgres_url)) as database:
        yield database


def plans(database: SqlDatabase, ask: Callable[[UnitOfWork], object]) -> list[str]:
    """The plans of all that is read, where tables are read from end to end only if nothing else is possible."""
    asked: list[tuple[str, Any]] = []
    with database.snapshot() as uow:
        connection = uow.connection
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")

        @event.listens_for(connection, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.lstrip().upper().startswith("SELECT"):
                asked.append((statement, parameters))

        ask(uow)
        event.remove(connection, "before_cursor_execute", note)
        return [
            "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
            for statement, parameters in asked
        ]


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(database: SqlDatabase, name: str) -> None:
    found = plans(database, QUERIES[name])
    assert found
    for plan in found:
        assert "Seq Scan" not in plan.replace("Seq Scan on active_model", "the one row"), plan


def test_nor_by_the_queue(database: SqlDatabase) -> None:
    """Ended jobs are many; those that wait or run are found past them."""
    queue = ProcrastinateQueue(database)
    asked: list[tuple[str, Any]] = []
    video = add(database)

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "procrastinate_jobs" in statement:
            asked.append((statement, parameters))

    engine = database._engine
    event.listen(engine, "before_cursor_execute", note)
    with database.transaction() as uow:
        [job_id] = queue.enqueue(uow, [index_job(video.id)])
    assert queue.due([index_job("").kind])
    queue.due_since()
    leased = queue.lease([index_job("").kind], lease_s=30)
    assert leased is not None
    queue.renew(leased, lease_s=30)
    queue.get([job_id])
    with database.transaction() as uow:
        queue.bury(uow)
        queue.cancel(uow, video_id=video.id)
    event.remove(engine, "before_cursor_execute", note)
    with database.transaction() as uow:
        uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, parameters in asked:
            plan = [row[0] for row in uow.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
            assert not [line for line in plan if "Seq Scan on procrastinate_jobs" in line], "\n".join(plan)
