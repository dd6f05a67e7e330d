"""Real servers for the contract suites, started once per run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Server, ServerFailed, milvus_lite, milvus_server, running


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
