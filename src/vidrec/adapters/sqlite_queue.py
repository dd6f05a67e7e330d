"""The job queue as a lease table in SQLite, for one machine: there is one writer at a time, so a lease is one statement
in a transaction that holds the write lock."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, false, func, insert, or_, select, update

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.database import SqlDatabase, SqlUnitOfWork
from vidrec.adapters.sql.schema import jobs
from vidrec.application.ports import UnitOfWork
from vidrec.domain.errors import LeaseLost
from vidrec.domain.models import Job, JobState, NewJob, new_id, utc_now

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
_LIVE = (JobState.QUEUED, JobState.RUNNING)


class SqliteQueue:
    """Implements the JobQueue port. Thread-safe; any number of processes may share one database."""

    def __init__(
        self, database: SqlDatabase, *, max_attempts: int = 5, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._clock = clock

    def enqueue(self, uow: UnitOfWork, new: Sequence[NewJob]) -> Sequence[str]:
        connection = _connection(uow)
        known = self._live_by_key(connection, [j.dedupe_key for j in new if j.dedupe_key])
        now = self._clock()
        ids, rows = [], []
        for job in new:
            job_id = known.get(job.dedupe_key or "")
            if job_id is None:
                job_id = new_id()
                rows.append(_row(job, job_id, now))
                if job.dedupe_key:
                    known[job.dedupe_key] = job_id
            ids.append(job_id)
        if rows:
            connection.execute(insert(jobs), rows)
        return ids

    def lease(self, kinds: Sequence[str], *, lease_s: float) -> Job | None:
        if not self.due(kinds):  # an idle worker must not take the write lock
            return None
        now = self._clock()
        with self._database.transaction() as uow:
            statement = (
                update(jobs)
                .where(jobs.c.id == self._next_due(kinds, now).scalar_subquery())
                .values(
                    state=JobState.RUNNING,
                    attempts=jobs.c.attempts + 1,
                    lease_token=new_id(),
                    lease_until=now + timedelta(seconds=lease_s),
                )
                .returning(jobs)
            )
            row = uow.connection.execute(statement).first()
        return None if row is None else _job(row)

    def due(self, kinds: Sequence[str]) -> bool:
        with self._database.snapshot() as uow:
            return uow.connection.execute(select(self._next_due(kinds, self._clock()).exists())).scalar() is True

    def renew(self, job: Job, *, lease_s: float) -> None:
        with self._database.transaction() as uow:
            self._change_leased(uow.connection, job, lease_until=self._clock() + timedelta(seconds=lease_s))

    def hold(self, uow: UnitOfWork, job: Job) -> None:
        statement = select(jobs.c.id).where(*_leased(job))
        if _connection(uow).execute(statement).first() is None:
            raise _lost(job)

    def complete(self, uow: UnitOfWork, job: Job) -> None:
        self._change_leased(
            _connection(uow), job, state=JobState.DONE, finished_at=self._clock(), lease_token=None, last_error=None
        )

    def retry(self, job: Job, error: str) -> None:
        pause = min(FIRST_RETRY_S * 4 ** (job.attempts - 1), LAST_RETRY_S) * random.uniform(0.8, 1.2)
        self._give_back(job, run_at=self._clock() + timedelta(seconds=pause), last_error=error)

    def release(self, job: Job) -> None:
        self._give_back(job, attempts=jobs.c.attempts - 1)

    def fail(self, uow: UnitOfWork, job: Job, error: str) -> None:
        self._change_leased(
            _connection(uow), job, state=JobState.DEAD, finished_at=self._clock(), lease_token=None, last_error=error
        )

    def bury(self, uow: UnitOfWork) -> Sequence[Job]:
        statement = (
            update(jobs)
            .where(jobs.c.attempts >= self._max_attempts, self._idle(self._clock()))
            .values(state=JobState.DEAD, finished_at=self._clock(), lease_token=None)
            .returning(jobs)
        )
        return [_job(row) for row in _connection(uow).execute(statement)]

    def revive(self, uow: UnitOfWork, job_id: str) -> Job | None:
        connection = _connection(uow)
        dead = (jobs.c.id == job_id) & (jobs.c.state == JobState.DEAD)
        found = connection.execute(select(jobs.c.dedupe_key).where(dead)).first()
        if found is None or self._live_by_key(connection, [key for key in found if key]):
            return None
        waiting = {"state": JobState.QUEUED, "attempts": 0, "run_at": self._clock(), "finished_at": None}
        return _job(connection.execute(update(jobs).where(dead).values(waiting).returning(jobs)).one())

    def cancel(self, uow: UnitOfWork, *, job_id: str | None = None, video_id: str | None = None) -> int:
        if job_id is None and video_id is None:
            raise ValueError("job_id or video_id must be given")
        condition = jobs.c.id == job_id if job_id is not None else jobs.c.video_id == video_id
        statement = (
            update(jobs)
            .where(condition, jobs.c.state.in_(_LIVE))
            .values(state=JobState.CANCELLED, finished_at=self._clock(), lease_token=None)
        )
        return _connection(uow).execute(statement).rowcount

    def get(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        found: dict[str, Job] = {}
        with self._database.snapshot() as uow:
            for batch in in_batches(job_ids):
                rows = uow.connection.execute(select(jobs).where(jobs.c.id.in_(batch)))
                found.update((row.id, _job(row)) for row in rows)
        return found

    def live(self, uow: UnitOfWork, video_id: str) -> Sequence[Job]:
        its = (jobs.c.video_id == video_id) & jobs.c.state.in_(_LIVE)
        found = _connection(uow).execute(select(jobs).where(its).order_by(jobs.c.created_at, jobs.c.id))
        return [_job(row) for row in found]

    def list(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        statement = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        if state is not None:
            statement = statement.where(jobs.c.state == state)
        with self._database.snapshot() as uow:
            return [_job(row) for row in uow.connection.execute(statement)]

    def due_since(self) -> datetime | None:
        due = (jobs.c.state == JobState.QUEUED) & (jobs.c.run_at <= self._clock())
        with self._database.snapshot() as uow:
            since: datetime | None = uow.connection.execute(select(func.min(jobs.c.run_at)).where(due)).scalar()
            return since

    def prune(self, uow: UnitOfWork, older_than: datetime) -> int:
        ended = jobs.c.state.in_([JobState.DONE, JobState.CANCELLED]) & (jobs.c.finished_at < older_than)
        return _connection(uow).execute(delete(jobs).where(ended)).rowcount

    def counts(self) -> Mapping[JobState, int]:
        with self._database.snapshot() as uow:
            rows = uow.connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
            return {JobState(state): count for state, count in rows}

    def _next_due(self, kinds: Sequence[str], now: datetime) -> Any:
        return (
            select(jobs.c.id)
            .where(jobs.c.kind.in_(kinds), jobs.c.attempts < self._max_attempts, jobs.c.run_at <= now, self._idle(now))
            .order_by(jobs.c.priority.desc(), jobs.c.run_at, jobs.c.id)
            .limit(1)
        )

    @staticmethod
    def _idle(now: datetime) -> ColumnElement[bool]:
        """Queued, or running under a lease that nobody renewed."""
        return or_(jobs.c.state == JobState.QUEUED, and_(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < now))

    @staticmethod
    def _live_by_key(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for batch in in_batches(keys):
            statement = select(jobs.c.dedupe_key, jobs.c.id).where(
                jobs.c.dedupe_key.in_(batch), jobs.c.state.in_(_LIVE)
            )
            found.update((row.dedupe_key, row.id) for row in connection.execute(statement))
        return found

    def _change_leased(self, connection: Connection, job: Job, **values: Any) -> None:
        if connection.execute(update(jobs).where(*_leased(job)).values(**values)).rowcount == 0:
            raise _lost(job)

    def _give_back(self, job: Job, **values: Any) -> None:
        try:
            with self._database.transaction() as uow:
                self._change_leased(uow.connection, job, state=JobState.QUEUED, lease_token=None, **values)
        except LeaseLost:
            return


def _connection(uow: UnitOfWork) -> Connection:
    if not isinstance(uow, SqlUnitOfWork):
        raise TypeError("this queue takes part in SQL transactions only")
    return uow.connection


def _leased(job: Job) -> tuple[ColumnElement[bool], ...]:
    token = jobs.c.lease_token == job.lease_token if job.lease_token is not None else false()
    return (jobs.c.id == job.id, token, jobs.c.state == JobState.RUNNING)


def _lost(job: Job) -> LeaseLost:
    return LeaseLost(f"job {job.id} is not ours any more")


def _row(job: NewJob, job_id: str, now: datetime) -> dict[str, Any]:
    return {
        "id": job_id,
        "kind": job.kind,
        "payload": dict(job.payload),
        "video_id": job.video_id,
        "priority": job.priority,
        "state": JobState.QUEUED,
        "attempts": 0,
        "created_at": now,
        "run_at": now,
        "dedupe_key": job.dedupe_key,
    }


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        payload=row.payload,
        video_id=row.video_id,
        priority=row.priority,
        state=JobState(row.state),
        attempts=row.attempts,
        last_error=row.last_error,
        created_at=row.created_at,
        run_at=row.run_at,
        lease_token=row.lease_token,
    )
