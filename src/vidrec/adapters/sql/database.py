"""The SQL store: connections, transactions, and the unit of work that groups the tables' adapters."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from vidrec.adapters.sql.catalogue import SqlCatalogue
from vidrec.adapters.sql.interactions import SqlInteractions
from vidrec.adapters.sql.models import SqlModelVersions
from vidrec.adapters.sql.observed import observe_statements
from vidrec.adapters.sql.profiles import SqlProfiles
from vidrec.adapters.sql.progress import SqlProgressNotes
from vidrec.adapters.sql.receipts import SqlReceipts
from vidrec.adapters.sql.recommendations import SqlRecommendations
from vidrec.adapters.sql.schema import SCHEMA_REVISION
from vidrec.adapters.sql.uploads import SqlUploadRecords
from vidrec.application.ports import Observe, unobserved
from vidrec.domain.errors import InvalidInput, StoreUnavailable

_BUSY_S = 10.0
"""How long SQLite is waited for while another process writes."""


class SqlUnitOfWork:
    """One transaction on one connection. `connection` is for adapters that take part in it (the job queue)."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.catalogue = SqlCatalogue(connection)
        self.interactions = SqlInteractions(connection)
        self.profiles = SqlProfiles(connection)
        self.recommendations = SqlRecommendations(connection)
        self.models = SqlModelVersions(connection)
        self.receipts = SqlReceipts(connection)
        self.uploads = SqlUploadRecords(connection)
        self.progress = SqlProgressNotes(connection)


class SqlDatabase:
    """Implements the Database port on any SQLAlchemy URL. Thread-safe; connections are pooled."""

    def __init__(self, url: str, *, observe: Observe = unobserved) -> None:
        self._engine = open_engine(url)
        if observe is not unobserved:
            observe_statements(self._engine, observe)

    @contextmanager
    def transaction(self) -> Iterator[SqlUnitOfWork]:
        with _translated(), self._engine.connect() as connection:
            connection.execution_options(vidrec_write=True)
            with connection.begin():
                yield SqlUnitOfWork(connection)

    @contextmanager
    def snapshot(self) -> Iterator[SqlUnitOfWork]:
        with _translated(), self._engine.connect() as connection:
            yield SqlUnitOfWork(connection)

    def ping(self) -> None:
        with _translated(), self._engine.connect() as connection:
            found = schema_revision(connection)
        if found is None:
            raise StoreUnavailable("the SQL store has no schema yet: vidrec migrate")
        if found < SCHEMA_REVISION:
            raise StoreUnavailable(
                f"the SQL schema is at {found}, this version needs {SCHEMA_REVISION}: vidrec migrate"
            )

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        raise StoreUnavailable(f"the SQL store does not answer: {reason}") from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the SQL store does not answer: {type(error).__name__}") from error


def schema_revision(connection: Connection) -> str | None:
    """The revision that the schema is at; None where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def open_engine(url: str) -> Engine:
    """An engine for the URL; InvalidInput where the URL cannot be read."""
    try:
        engine = create_engine(url, pool_size=8, max_overflow=40, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, ImportError, SQLAlchemyError) as error:
        raise InvalidInput(f"VIDREC_DATABASE_URL cannot be used: {error}", field="VIDREC_DATABASE_URL") from error
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    return engine


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
        write = connection.get_execution_options().get("vidrec_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
