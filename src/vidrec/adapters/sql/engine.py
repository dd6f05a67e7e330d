"""SQLAlchemy engines for the two databases: URLs, pools, timeouts, and how a transaction begins."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from vidrec.domain.errors import InvalidInput

_BUSY_S = 10.0
"""How long SQLite is waited for while another process writes."""
_POSTGRES = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
_IDLE_BEFORE_PROBE_S = 10
_LONGEST_PAUSE_S = 60
_WRITE = "vidrec_write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Bounds of one process's connections. The timeouts are PostgreSQL's; SQLite waits for its one writer instead."""

    pool_size: int = 8
    """Connections that are kept open."""
    pool_overflow: int = 40
    """More that are opened while they are needed."""
    connect_timeout_s: float = 3.0
    """Longest wait for a new connection, for one of the pool, and for a network that swallows what is sent."""
    statement_timeout_s: float = 30.0
    """Longest run of one statement, waits for locks included; 0: no bound."""


def open_engine(url: str, connections: Connections | None = None) -> Engine:
    """An engine for the URL, which connects at the first use; InvalidInput where the URL cannot be read."""
    bounds = connections or Connections()
    try:
        parsed = _with_driver(make_url(url))
        postgres = parsed.get_backend_name() == "postgresql"
        engine = create_engine(
            parsed,
            pool_size=bounds.pool_size,
            max_overflow=bounds.pool_overflow,
            pool_timeout=bounds.connect_timeout_s if postgres else _BUSY_S,
            pool_pre_ping=postgres,
            connect_args=_postgres_arguments(bounds) if postgres else {},
        )
    except (ArgumentError, ImportError, SQLAlchemyError) as error:
        raise InvalidInput(f"VIDREC_DATABASE_URL cannot be used: {error}", field="VIDREC_DATABASE_URL") from error
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    return engine


def for_writing(connection: Connection) -> Connection:
    """The connection, whose next transaction may write. Call it before anything is executed.

    SQLite takes its one write lock at once. PostgreSQL reads what is committed at each statement: what must hold
    between a read and a write is held by constraints and by locks (see locks.py)."""
    return connection.execution_options(**{_WRITE: True})


def for_reading(connection: Connection) -> Connection:
    """The connection, whose next transaction only reads, and reads one state. Call it before anything is executed."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return connection


def is_writing(connection: Connection) -> bool:
    """Whether the transaction on this connection may write."""
    return bool(connection.get_execution_options().get(_WRITE, False))


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername in _POSTGRES else url


def _postgres_arguments(bounds: Connections) -> Mapping[str, Any]:
    return {
        # libpq takes whole seconds, and one second for two
        "connect_timeout": max(2, round(bounds.connect_timeout_s)),
        "application_name": "vidrec",
        "options": " ".join(f"-c {name}={value}" for name, value in _session_settings(bounds).items()),
        # A network that swallows everything is noticed within this time; else it would be a quarter of an hour.
        "tcp_user_timeout": round(1000 * bounds.connect_timeout_s),
        "keepalives_idle": _IDLE_BEFORE_PROBE_S,
    }


def _session_settings(bounds: Connections) -> Mapping[str, object]:
    return {
        "timezone": "UTC",
        "default_transaction_isolation": r"read\ committed",
        "statement_timeout": round(1000 * bounds.statement_timeout_s),
        # The locks of a machine that vanished in the middle of a transaction are free again after this.
        "idle_in_transaction_session_timeout": 1000 * _LONGEST_PAUSE_S,
        "tcp_keepalives_idle": _IDLE_BEFORE_PROBE_S,
        "tcp_keepalives_interval": _IDLE_BEFORE_PROBE_S,
        "tcp_keepalives_count": 3,
    }


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """The first connection to a new database changes its mode; where several are the first, SQLite answers all but one
    with "locked" at once, whatever the busy timeout."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is off: `BEGIN` is ours, see below.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(1000 * _BUSY_S)}")
        _use_wal(cursor)
        # A killed process loses nothing with NORMAL; only a power cut may lose the last commits, never corrupt.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A writer takes the lock at once: a deferred one could fail in its middle with a lock that no wait cures.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing(connection) else "BEGIN")


def reason(error: DBAPIError) -> str:
    """The first line of what the driver says."""
    said = str(error.orig).strip()
    return said.splitlines()[0] if said else type(error.orig).__name__
