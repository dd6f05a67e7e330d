"""The SQL store: connections, transactions, and the unit of work that groups the tables' adapters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from vidrec.adapters.sql.catalogue import SqlCatalogue
from vidrec.adapters.sql.engine import Connections, for_reading, for_writing, open_engine, reason
from vidrec.adapters.sql.interactions import SqlInteractions
from vidrec.adapters.sql.keys import SqlKeyRecords
from vidrec.adapters.sql.models import SqlModelVersions
from vidrec.adapters.sql.observed import observe_statements
from vidrec.adapters.sql.profiles import SqlProfiles
from vidrec.adapters.sql.progress import SqlProgressNotes
from vidrec.adapters.sql.receipts import SqlReceipts
from vidrec.adapters.sql.recommendations import SqlRecommendations
from vidrec.adapters.sql.schema import SCHEMA_REVISION
from vidrec.adapters.sql.splits import SqlSplits
from vidrec.adapters.sql.traces import SqlTraces
from vidrec.adapters.sql.uploads import SqlUploadRecords
from vidrec.application.ports import Observe, unobserved
from vidrec.domain.errors import InvalidInput, SchemaOutdated, StoreUnavailable


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
        self.traces = SqlTraces(connection)
        self.uploads = SqlUploadRecords(connection)
        self.progress = SqlProgressNotes(connection)
        self.splits = SqlSplits(connection)
        self.keys = SqlKeyRecords(connection)


class SqlDatabase:
    """Implements the Database port on SQLite and PostgreSQL. Thread-safe; connections are pooled."""

    def __init__(self, url: str, connections: Connections | None = None, *, observe: Observe = unobserved) -> None:
        """Connects at the first use. InvalidInput where the URL cannot be used."""
        self._engine = open_engine(url, connections)
        if observe is not unobserved:
            observe_statements(self._engine, observe)
        self._down: str | None = None
        self._probing = threading.Lock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[SqlUnitOfWork]:
        with _translated(), self._connected() as connection:
            for_writing(connection)
            with connection.begin():
                yield SqlUnitOfWork(connection)

    @contextmanager
    def snapshot(self) -> Iterator[SqlUnitOfWork]:
        with _translated(), self._connected() as connection:
            yield SqlUnitOfWork(for_reading(connection))

    @contextmanager
    def outside_transactions(self) -> Iterator[Connection]:
        """A connection whose statements each stand for themselves."""
        with _translated(), self._connected() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def ping(self) -> None:
        with _translated(), self._connected() as connection:
            found = schema_revision(connection)
        check_revision(found)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection of the pool. While none can be made one caller at a time finds out whether that is still so, and
        all others are told at once: threads that wait for an unreachable server answer nobody."""
        down = self._down
        if down is not None and not self._probing.acquire(blocking=False):
            raise StoreUnavailable(f"the SQL store does not answer: {down}")
        try:
            connection = self._engine.connect()
            self._down = None
        except OperationalError as error:
            self._down = reason(error)
            raise
        finally:
            if down is not None:
                self._probing.release()
        with connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DataError as error:  # such as a NUL character, which PostgreSQL keeps in no text
        raise InvalidInput(f"the SQL store cannot keep this: {reason(error)}") from error
    except DBAPIError as error:
        raise StoreUnavailable(f"the SQL store does not answer: {reason(error)}") from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the SQL store does not answer: {type(error).__name__}") from error


def check_revision(found: str | None) -> None:
    """Returns where this code can work with a schema of this revision: a newer one only adds to what it knows.
    SchemaOutdated where it is older or there is none."""
    if found is None:
        raise SchemaOutdated("the SQL store has no schema yet: run `vidrec migrate`")
    if found < SCHEMA_REVISION:
        raise SchemaOutdated(
            f"the SQL schema is at {found}, this version needs {SCHEMA_REVISION}: run `vidrec migrate`"
        )


def schema_revision(connection: Connection) -> str | None:
    """The revision that the schema is at; None where there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
