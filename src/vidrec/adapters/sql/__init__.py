"""The SQL store: SQLite on one machine, PostgreSQL on a cluster, by the URL alone."""

from vidrec.adapters.sql.database import SqlDatabase, SqlUnitOfWork
from vidrec.adapters.sql.engine import Connections
from vidrec.adapters.sql.migrate import migrate

__all__ = ["Connections", "SqlDatabase", "SqlUnitOfWork", "migrate"]
