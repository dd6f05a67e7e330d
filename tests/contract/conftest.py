"""Real servers for the contract suites, started once per run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, ServerFailed, milvus_lite, milvus_server, running
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import JobQueue
from vidrec.bootstrap import open_queue
from vidrec.settings import load_settings


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Milvus Lite server."""
    with running(milvus_lite(tmp_path_factory.mktemp("lite") / "data")) as server:
        yield server


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A standalone Milvus 2.3.5; tests that need it skip where it does not start."""
    server = milvus_server(tmp_path_factory.mktemp("milvus") / "data")
    try:
        server.start()
    except ServerFailed as error:
        pytest.skip(f"milvus 2.3.5 does not start here: {error}")
    yield server
    server.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path) -> str:
    """URL of a new, migrated database; each test runs on both."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{shutil.copy(migrated, tmp_path / 'vidrec.db')}"


@pytest.fixture
def queue(database: SqlDatabase) -> JobQueue:
    """The job queue of that database."""
    return open_queue(load_settings(), database)
