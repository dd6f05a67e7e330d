"""Brings the SQL schema to what this code needs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from vidrec.adapters.sql.database import open_engine, schema_revision
from vidrec.adapters.sql.schema import SCHEMA_REVISION
from vidrec.domain.errors import StoreUnavailable

_LOCK = 7_326_573
"""Number of the advisory lock that one migration at a time holds on PostgreSQL."""


def migrate(url: str) -> None:
    """Runs all migrations that are missing; nothing where there are none. Safe to run twice and by several processes at
    once: one runs, the others wait and find it done. StoreUnavailable where the store does not answer."""
    engine = open_engine(url)
    try:
        # SQLite: BEGIN IMMEDIATE is the lock, and DDL takes part in the transaction.
        with engine.connect().execution_options(vidrec_write=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if schema_revision(connection) != SCHEMA_REVISION:
                _upgrade(connection)
    except DBAPIError as error:
        raise StoreUnavailable(f"the SQL store cannot be migrated: {error.orig}") from error
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    # Imported here: a start that finds the schema current does not load Alembic.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
