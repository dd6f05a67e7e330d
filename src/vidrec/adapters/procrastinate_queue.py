"""The job queue on PostgreSQL, kept by Procrastinate: its tables, its functions, its SKIP LOCKED.

Procrastinate gives a job to a worker for as long as that worker's heart beats. Here each lease is a worker of its own:
the id of its row is the lease's token, and its `last_heartbeat` is told in advance, as the moment up to which the lease
holds. So one job can be lost while others of the same process go on, and a token is never given out twice. ADR 15 says
what else is mapped, and how."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from procrastinate import SyncPsycopgConnector, exceptions
from procrastinate.jobs import Job as Deferred
from procrastinate.manager import JobManager
from procrastinate.sql import queries
from sqlalchemy import Connection, CursorResult, Row, text

from vidrec.adapters.procrastinate_arrivals import Arrivals
from vidrec.adapters.sql.database import SqlDatabase, SqlUnitOfWork
from vidrec.application.ports import UnitOfWork
from vidrec.domain.errors import LeaseLost, StoreUnavailable
from vidrec.domain.models import Job, JobState, NewJob

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
ASK_AGAIN_S = 2.0
"""So long an idle worker that hears of no new job believes that there is nothing to do."""
LOOK_FOR_EXPIRED_S = 1.0
"""How often a busy worker looks for jobs of silent ones."""
_STATES = {
    "todo": JobState.QUEUED,
    "doing": JobState.RUNNING,
    "succeeded": JobState.DONE,
    "failed": JobState.DEAD,
    "cancelled": JobState.CANCELLED,
    "aborted": JobState.CANCELLED,
    "aborting": JobState.CANCELLED,
}
_STATE = "CASE WHEN status = 'doing' AND worker_id IS NULL THEN 'todo' ELSE status::text END"
"""A job that nobody holds any more and whose attempts are used up stays `doing` until it is buried: Procrastinate would
lease it again otherwise."""
_COLUMNS = f"""
procrastinate_jobs.id, queue_name, args, priority, worker_id, {_STATE} AS status,
attempts + CASE WHEN status = 'doing' THEN 1 ELSE 0 END AS attempts, scheduled_at,
(SELECT min(at) FROM procrastinate_events WHERE job_id = procrastinate_jobs.id AND type = 'deferred') AS created_at
"""
_ROW = f"SELECT {_COLUMNS} FROM procrastinate_jobs"
_LEASE_OVER = """
NOT EXISTS (SELECT 1 FROM procrastinate_workers AS holder
            WHERE holder.id = procrastinate_jobs.worker_id AND holder.last_heartbeat >= now())
"""
_EXPIRED = f"status = 'doing' AND {_LEASE_OVER} AND attempts + 1 < :max_attempts"
_EXHAUSTED = f"status = 'doing' AND {_LEASE_OVER} AND attempts + 1 >= :max_attempts"
_DUE = "status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())"
_OF_KINDS = "queue_name = ANY(:kinds)"
_DIGITS = 19
"""Of the largest number that the database can hold."""


class _InVain(NamedTuple):
    """There was nothing to do after so many arrivals; worth believing until then."""

    heard: int | None
    until: float


class ProcrastinateQueue:
    """Implements the JobQueue port. Thread-safe; any number of processes may share one database. All times are the
    server's, so that no clocks need to agree."""

    def __init__(self, database: SqlDatabase, *, max_attempts: int = 5, arrivals: Arrivals | None = None) -> None:
        """With `arrivals` an idle worker asks for jobs only when there is a new one, and else every few seconds."""
        self._database = database
        self._max_attempts = max_attempts
        self._arrivals = arrivals
        self._in_vain: dict[tuple[str, ...], _InVain] = {}
        self._look_again = 0.0
        # Never opened: every call names the connection of a transaction of ours.
        self._manager = JobManager(SyncPsycopgConnector())

    def enqueue(self, uow: UnitOfWork, new: Sequence[NewJob]) -> Sequence[str]:
        connection = _connection(uow)
        while True:
            known = _live_by_key(connection, [job.dedupe_key for job in new if job.dedupe_key])
            fresh: dict[str | int, NewJob] = {}
            for place, job in enumerate(new):
                if job.dedupe_key not in known:
                    fresh.setdefault(job.dedupe_key or place, job)
            ids = self._defer(connection, list(fresh.values()))
            if ids is not None:
                added = dict(zip(fresh, ids, strict=True))
                return [known.get(job.dedupe_key) or added[job.dedupe_key or n] for n, job in enumerate(new)]

    def lease(self, kinds: Sequence[str], *, lease_s: float) -> Job | None:
        statement = text(
            "WITH holder AS (INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() + make_interval(secs => :lease_s)) RETURNING id)"
            " UPDATE procrastinate_jobs SET worker_id = holder.id FROM holder WHERE procrastinate_jobs.id = :id"
            f" RETURNING {_COLUMNS}"
        )
        heard = self._arrivals.heard if self._arrivals else None
        if self._is_in_vain(kinds, heard):
            return None
        with self._database.transaction() as uow:
            found = self._fetch(uow.connection, kinds)
            if found is None:
                self._in_vain[tuple(kinds)] = _InVain(heard, time.monotonic() + ASK_AGAIN_S)
                return None
            return _job(uow.connection.execute(statement, {"lease_s": lease_s, "id": found}).one())

    def due(self, kinds: Sequence[str]) -> bool:
        statement = text(
            f"SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE {_DUE} AND {_OF_KINDS})"
            f" OR EXISTS (SELECT 1 FROM procrastinate_jobs WHERE {_EXPIRED} AND {_OF_KINDS})"
        )
        with self._database.snapshot() as uow:
            found = uow.connection.execute(statement, {"kinds": list(kinds), "max_attempts": self._max_attempts})
            return bool(found.scalar())

    def renew(self, job: Job, *, lease_s: float) -> None:
        statement = text(
            "UPDATE procrastinate_workers SET last_heartbeat = now() + make_interval(secs => :lease_s) WHERE id = :id"
        )
        with self._database.transaction() as uow:
            self.hold(uow, job)
            uow.connection.execute(statement, {"lease_s": lease_s, "id": _number(job.lease_token)})

    def hold(self, uow: UnitOfWork, job: Job) -> None:
        statement = text(
            "SELECT 1 FROM procrastinate_jobs WHERE id = :id AND worker_id = :token AND status = 'doing' FOR UPDATE"
        )
        values = {"id": _number(job.id), "token": _number(job.lease_token)}
        if None in values.values() or _connection(uow).execute(statement, values).first() is None:
            raise _lost(job)

    def complete(self, uow: UnitOfWork, job: Job) -> None:
        self.hold(uow, job)
        if job.last_error is not None:
            forget = "UPDATE procrastinate_jobs SET args = args - 'error' WHERE id = :id"
            _connection(uow).execute(text(forget), {"id": int(job.id)})
        _finish(_connection(uow), int(job.id), "succeeded")

    def retry(self, job: Job, error: str) -> None:
        pause = min(FIRST_RETRY_S * 4 ** (job.attempts - 1), LAST_RETRY_S) * random.uniform(0.8, 1.2)

        def give_back(connection: Connection) -> None:
            _note(connection, job, error)
            if job.attempts < self._max_attempts:
                _give_back(connection, job, pause_s=pause)
            else:
                _let_go(connection, int(job.id))

        self._if_held(job, give_back)

    def release(self, job: Job) -> None:
        def give_back(connection: Connection) -> None:
            _give_back(connection, job, pause_s=0)
            uncount = "UPDATE procrastinate_jobs SET attempts = attempts - 1 WHERE id = :id"
            connection.execute(text(uncount), {"id": int(job.id)})

        self._if_held(job, give_back)

    def fail(self, uow: UnitOfWork, job: Job, error: str) -> None:
        self.hold(uow, job)
        _note(_connection(uow), job, error)
        _finish(_connection(uow), int(job.id), "failed")

    def bury(self, uow: UnitOfWork) -> Sequence[Job]:
        connection = _connection(uow)
        ids = self._taken(connection, _EXHAUSTED)
        for job_id in ids:
            _finish(connection, job_id, "failed")
        return _by_id(connection, ids)

    def revive(self, uow: UnitOfWork, job_id: str) -> Job | None:
        connection = _connection(uow)
        dead = text("SELECT queueing_lock FROM procrastinate_jobs WHERE id = :id AND status = 'failed' FOR UPDATE")
        found = connection.execute(dead, {"id": _number(job_id)}).first()
        if found is None or _live_by_key(connection, [found.queueing_lock]):
            return None
        _retry(connection, int(job_id), 0)
        connection.execute(text("UPDATE procrastinate_jobs SET attempts = 0 WHERE id = :id"), {"id": int(job_id)})
        return _by_id(connection, [int(job_id)])[0]

    def cancel(self, uow: UnitOfWork, *, job_id: str | None = None, video_id: str | None = None) -> int:
        if job_id is None and video_id is None:
            raise ValueError("job_id or video_id must be given")
        connection = _connection(uow)
        which = "id = :id" if job_id is not None else "args ->> 'video_id' = :video_id"
        statement = text(
            "SELECT id, status::text AS status FROM procrastinate_jobs"
            f" WHERE status IN ('todo', 'doing') AND {which} ORDER BY id FOR UPDATE"
        )
        values = {"id": _number(job_id)} if job_id is not None else {"video_id": video_id}
        found = connection.execute(statement, values).all()
        for row in found:
            if row.status == "todo":
                _call(connection, "cancel_job", job_id=row.id, abort=False, delete_job=False)
            else:
                _finish(connection, row.id, "aborted")
        return len(found)

    def get(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        wanted = [number for number in map(_number, job_ids) if number is not None]
        with self._database.snapshot() as uow:
            return {job.id: job for job in _by_id(uow.connection, wanted)}

    def live(self, uow: UnitOfWork, video_id: str) -> Sequence[Job]:
        its = "status IN ('todo', 'doing') AND args ->> 'video_id' = :video_id ORDER BY id"
        return _read(_connection(uow), its, {"video_id": video_id})

    def list(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        statuses = [status for status, meant in _STATES.items() if state in (None, meant)]
        condition = f"{_STATE} = ANY(:statuses) ORDER BY id DESC LIMIT :limit"
        with self._database.snapshot() as uow:
            return _read(uow.connection, condition, {"statuses": statuses, "limit": limit})

    def due_since(self) -> datetime | None:
        since = f"SELECT min(coalesce(scheduled_at, created_at)) FROM ({_ROW} WHERE {_DUE}) AS due"
        with self._database.snapshot() as uow:
            found: datetime | None = uow.connection.execute(text(since)).scalar()
            return found

    def prune(self, uow: UnitOfWork, older_than: datetime) -> int:
        statement = text(
            "DELETE FROM procrastinate_jobs WHERE status IN ('succeeded', 'cancelled', 'aborted') AND"
            " (SELECT max(at) FROM procrastinate_events WHERE job_id = procrastinate_jobs.id) < :older_than"
        )
        return _connection(uow).execute(statement, {"older_than": older_than}).rowcount

    def counts(self) -> Mapping[JobState, int]:
        counts: dict[JobState, int] = {}
        statement = text(f"SELECT {_STATE} AS state, count(*) AS jobs FROM procrastinate_jobs GROUP BY 1")
        with self._database.snapshot() as uow:
            for row in uow.connection.execute(statement):
                counts[_STATES[row.state]] = counts.get(_STATES[row.state], 0) + row.jobs
        return counts

    # ------------------------------------------------------------------------------------------ steps

    def _defer(self, connection: Connection, new: Sequence[NewJob]) -> Sequence[str] | None:
        """The ids in order; None where somebody has enqueued one of the keys meanwhile."""
        if not new:
            return []
        deferred = [
            Deferred(
                queue=job.kind,
                task_name=job.kind,
                priority=job.priority,
                lock=None,
                queueing_lock=job.dedupe_key,
                task_kwargs={"video_id": job.video_id, "payload": dict(job.payload)},
            )
            for job in new
        ]
        savepoint = connection.begin_nested()
        try:
            added = self._manager.batch_defer_jobs(deferred, connection=connection.connection.driver_connection)
        except (exceptions.AlreadyEnqueued, exceptions.UniqueViolation):
            savepoint.rollback()
            return None
        except exceptions.ConnectorException as error:
            raise StoreUnavailable(f"the SQL store does not answer: {error.__cause__ or error}") from error
        savepoint.commit()
        return [str(job.id) for job in added]

    def _is_in_vain(self, kinds: Sequence[str], heard: int | None) -> bool:
        """Whether nothing has been enqueued since there was nothing to do. What comes back to the queue in other ways,
        such as a retry that is due, is found a little later."""
        last = self._in_vain.get(tuple(kinds))
        return last is not None and heard is not None and last.heard == heard and time.monotonic() < last.until

    def _fetch(self, connection: Connection, kinds: Sequence[str]) -> int | None:
        """The id of the next job, which is `doing` now. Jobs whose holder is silent wait again first: now and then, and
        before nothing is answered."""
        names = {"queues": list(kinds), "worker_id": None}
        looked = time.monotonic() >= self._look_again
        if looked:
            self._take_back_expired(connection)
        found: int | None = _call(connection, "fetch_job", **names).one().id
        if found is None and not looked and self._take_back_expired(connection):
            found = _call(connection, "fetch_job", **names).one().id
        return found

    def _take_back_expired(self, connection: Connection) -> bool:
        """Whether there were some that may be tried once more."""
        self._look_again = time.monotonic() + LOOK_FOR_EXPIRED_S
        expired = self._taken(connection, _EXPIRED)
        for job_id in expired:
            _let_go(connection, job_id)
            _retry(connection, job_id, 0)
        return bool(expired)

    def _taken(self, connection: Connection, condition: str) -> Sequence[int]:
        """The ids of jobs that meet the condition and are nobody else's to the end of the transaction. They are looked
        at once more when they are ours: the first look may have seen the lease before the one that holds now."""
        values: dict[str, Any] = {"max_attempts": self._max_attempts}
        statement = f"SELECT id FROM procrastinate_jobs WHERE {condition}"
        ids = connection.execute(text(f"{statement} ORDER BY id FOR UPDATE SKIP LOCKED"), values).scalars().all()
        if not ids:
            return ids
        again = text(f"{statement} AND id = ANY(:ids) ORDER BY id")
        return connection.execute(again, {**values, "ids": list(ids)}).scalars().all()

    def _if_held(self, job: Job, action: Callable[[Connection], None]) -> None:
        """Does it in a transaction in which the job is ours; nothing where it is not any more."""
        with suppress(LeaseLost), self._database.transaction() as uow:
            self.hold(uow, job)
            action(uow.connection)


def _connection(uow: UnitOfWork) -> Connection:
    if not isinstance(uow, SqlUnitOfWork):
        raise TypeError("this queue takes part in SQL transactions only")
    return uow.connection


def _call(connection: Connection, name: str, **values: Any) -> CursorResult[Any]:
    """One of the statements that Procrastinate itself would run, in our transaction."""
    return connection.exec_driver_sql(queries[name], values)


def _live_by_key(connection: Connection, keys: Sequence[str | None]) -> dict[str | None, str]:
    statement = text(
        "SELECT queueing_lock, id FROM procrastinate_jobs"
        " WHERE queueing_lock = ANY(:keys) AND status IN ('todo', 'doing')"
    )
    wanted = [key for key in keys if key is not None]
    if not wanted:
        return {}
    return {row.queueing_lock: str(row.id) for row in connection.execute(statement, {"keys": wanted})}


def _finish(connection: Connection, job_id: int, status: str) -> None:
    _let_go(connection, job_id)
    _call(connection, "finish_job", job_id=job_id, status=status, delete_job=False)


def _let_go(connection: Connection, job_id: int) -> None:
    """Ends the lease; the foreign key clears it in the job's row."""
    statement = "DELETE FROM procrastinate_workers WHERE id = (SELECT worker_id FROM procrastinate_jobs WHERE id = :id)"
    connection.execute(text(statement), {"id": job_id})


def _give_back(connection: Connection, job: Job, *, pause_s: float) -> None:
    _let_go(connection, int(job.id))
    _retry(connection, int(job.id), pause_s)


def _retry(connection: Connection, job_id: int, pause_s: float) -> None:
    """Waits again, its attempt counted."""
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    at = now + timedelta(seconds=pause_s)
    _call(connection, "retry_job", job_id=job_id, retry_at=at, new_priority=None, new_queue_name=None, new_lock=None)


def _note(connection: Connection, job: Job, error: str) -> None:
    """Keeps the error with the job; Procrastinate has no place of its own for it."""
    statement = text(
        "UPDATE procrastinate_jobs SET args = args || jsonb_build_object('error', CAST(:error AS text)) WHERE id = :id"
    )
    connection.execute(statement, {"error": error.replace("\0", " "), "id": int(job.id)})


def _by_id(connection: Connection, ids: Sequence[int]) -> list[Job]:
    return _read(connection, "id = ANY(:ids) ORDER BY id", {"ids": list(ids)}) if ids else []


def _read(connection: Connection, condition: str, values: Mapping[str, Any]) -> list[Job]:
    return [_job(row) for row in connection.execute(text(f"{_ROW} WHERE {condition}"), values)]


def _job(row: Row[Any]) -> Job:
    return Job(
        id=str(row.id),
        kind=row.queue_name,
        payload=row.args["payload"],
        video_id=row.args["video_id"],
        priority=row.priority,
        state=_STATES[row.status],
        attempts=row.attempts,
        last_error=row.args.get("error"),
        created_at=row.created_at,
        run_at=row.scheduled_at or row.created_at,
        lease_token=None if row.worker_id is None else str(row.worker_id),
    )


def _number(name: str | None) -> int | None:
    """The id of a row; None where this is the name of none."""
    return int(name) if name is not None and name.isdecimal() and len(name) < _DIGITS else None


def _lost(job: Job) -> LeaseLost:
    return LeaseLost(f"job {job.id} is not ours any more")
