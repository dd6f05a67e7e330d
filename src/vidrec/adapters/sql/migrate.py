"""Brings the SQL schema to what this code needs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from vidrec.adapters.sql.database import schema_revision
from vidrec.adapters.sql.engine import Connections, for_writing, open_engine, reason
from vidrec.adapters.sql.schema import SCHEMA_REVISION
from vidrec.domain.errors import StoreUnavailable

_LOCK = 7_326_573
"""Number of the advisory lock that one migration at a time holds on PostgreSQL."""
_PATIENT = Connections(statement_timeout_s=0)
"""A migration may take long, and so may waiting for another one."""


def migrate(url: str) -> str:
    """Runs all migrations that are missing, in one transaction; nothing where there are none, or where a newer release
    has migrated. Answers the revision that the schema is at. Safe to run twice and by several processes at once: one
    runs, the others wait and find it done. StoreUnavailable where the store does not answer."""
    engine = open_engine(url, _PATIENT)
    try:
        # SQLite: BEGIN IMMEDIATE is the lock, and DDL takes part in the transaction.
        with engine.connect() as connection, for_writing(connection).begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            found = schema_revision(connection)
            if found is None or found < SCHEMA_REVISION:
                upgrade(connection, "head")
                return SCHEMA_REVISION
            return found
    except DBAPIError as error:
        raise StoreUnavailable(f"the SQL store cannot be migrated: {reason(error)}") from error
    finally:
        engine.dispose()


def upgrade(connection: Connection, revision: str) -> None:
    """Runs the migrations up to this one, in the connection's transaction."""
    # Imported here: a start that finds the schema current does not load Alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
