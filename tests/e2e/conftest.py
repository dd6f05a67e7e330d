"""One demo system for all end-to-end tests that do not kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systems import RunningSystem, running_system


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """What `make run` starts, with the demo library indexed."""
    with running_system(tmp_path_factory.mktemp("e2e") / "data") as system:
        system.wait_until_filled()
        yield system
