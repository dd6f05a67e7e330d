"""The SQL store: SQLite on one machine, written so that PostgreSQL is only another URL."""

from vidrec.adapters.sql.database import SqlDatabase, SqlUnitOfWork
from vidrec.adapters.sql.migrate import migrate

__all__ = ["SqlDatabase", "SqlUnitOfWork", "migrate"]
