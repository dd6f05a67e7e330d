"""One control plane for all tests of the folder; each test has a namespace of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.cluster.plane import Plane, control_plane, missing

_number = itertools.count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Real etcd, API server, controllers, scheduler and metrics-server, with kwok's nodes."""
    if absent := missing():
        pytest.skip(f"{', '.join(absent)} not in build/tools/bin: `make test-cluster` builds them where Go is")
    with control_plane(tmp_path_factory.mktemp("plane")) as started:
        yield started


@pytest.fixture
def namespace(plane: Plane) -> Iterator[str]:
    """A new one that enforces the Pod Security standard `restricted`, gone at the end with all that is in it."""
    name = f"shop-{next(_number)}"
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforce}})
    plane.until(lambda: bool(plane.list("serviceaccounts", namespace=name)))
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")
