"""Fixtures of all tests. Only pytest and the standard library are imported here: the tests of the export run in an
environment that has little else."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres import Postgres
    from tests.s3 import S3Server
    from tests.systems import RunningSystem
    from vidrec.adapters.sql import SqlDatabase
    from vidrec.adapters.sqlite_queue import SqliteQueue

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a browser come last: it and the demo system live to the end of the run, as children of this process,
    whose children others count."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real clips; tests that need it skip where it is not there."""
    folder = Path(os.environ.get("VIDREC_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("there is no folder of real clips: set VIDREC_TEST_DATA")
    return folder.resolve()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """What `make run` starts, with the demo library indexed: one for all tests that do not kill it."""
    from tests.systems import running_system

    with running_system(tmp_path_factory.mktemp("demo") / "data") as system:
        system.wait_until_filled()
        yield system


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of the present schema, to be copied: migrating anew for each test takes far longer."""
    from vidrec.adapters.sql import migrate

    file = tmp_path_factory.mktemp("migrated") / "vidrec.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, for the rest of the run."""
    from tests.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """Name of an empty PostgreSQL database of the present schema. Whoever uses it empties it first: that takes a
    millisecond, a copy a quarter of a second."""
    from vidrec.adapters.sql import migrate

    name = postgres.create()
    migrate(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: Postgres, migrated_postgres: str) -> str:
    """URL of a migrated PostgreSQL database without any rows."""
    postgres.empty(migrated_postgres)
    return postgres.url(migrated_postgres)


@pytest.fixture
def database_url(migrated: Path, tmp_path: Path) -> str:
    """URL of a new, migrated SQLite database."""
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'vidrec.db')}"


@pytest.fixture
def database(database_url: str) -> Iterator[SqlDatabase]:
    from vidrec.adapters.sql import SqlDatabase

    database = SqlDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def queue(database: SqlDatabase) -> SqliteQueue:
    from vidrec.adapters.sqlite_queue import SqliteQueue

    return SqliteQueue(database)


@pytest.fixture(scope="session")
def s3_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    """The S3 server of a name (see tests/s3.py), started when it is first asked for."""
    from tests.s3 import s3_running

    with contextlib.ExitStack() as held:
        yield functools.cache(lambda name: held.enter_context(s3_running(name, tmp_path_factory.mktemp(name))))
