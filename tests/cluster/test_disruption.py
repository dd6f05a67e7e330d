"""Drains and rollouts: how many pods serve while others go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.plane import BIN, Object, Plane
from tests.cluster.releases import install, is_ready, of, upgrade

pytestmark = pytest.mark.cluster


def fewest_ready(states: list[Object], *, wanted: int) -> int:
    """The smallest number of ready pods from when there were `wanted` on, of a watch's events."""
    ready: set[str] = set()
    fewest, begun = wanted, False
    for event in states:
        pod, name = event["object"], event["object"]["metadata"]["name"]
        (ready.add if event["type"] != "DELETED" and is_ready(pod) else ready.discard)(name)
        begun = begun or len(ready) == wanted
        if begun:
            fewest = min(fewest, len(ready))
    assert begun
    return fewest


@pytest.mark.parametrize(("component", "wanted"), [("api", 4), ("encoder", 3)])
def test_a_rollout_keeps_as_many_ready_as_are_wanted(plane: Plane, namespace: str, component: str, wanted: int) -> None:
    count = f"{component}.replicas={wanted}"
    install(plane, namespace, count)
    with plane.watch("pods", namespace=namespace, selector=of(component)) as seen:
        upgrade(plane, namespace, count, "image.tag=0.2.0")
        states = seen()
    assert len({event["object"]["metadata"]["name"] for event in states}) == 2 * wanted
    assert fewest_ready(states, wanted=wanted) == wanted


@pytest.fixture
def cordoned(plane: Plane) -> Iterator[None]:
    """No node takes new pods until the test lets one."""
    names = [node["metadata"]["name"] for node in plane.list("nodes")]
    plane.kubectl("cordon", *names)
    yield
    plane.kubectl("uncordon", *names)


def test_a_drain_waits_for_the_disruption_budget(plane: Plane, namespace: str, request: pytest.FixtureRequest) -> None:
    install(plane, namespace, "api.replicas=3")
    request.getfixturevalue("cordoned")
    pods = plane.list("pods", namespace=namespace, selector=of("api"))
    drained = sorted({pod["spec"]["nodeName"] for pod in pods})[:2]
    command = ["drain", *drained, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]
    only = f"--pod-selector={of('api')}"
    with plane.watch("pods", namespace=namespace, selector=of("api")) as seen:
        refused = plane.run("kubectl", *command[:-1], "--timeout=4s", only)
        assert refused.returncode != 0
        assert "Cannot evict pod as it would violate the pod's disruption budget" in refused.stderr
        assert sum(map(is_ready, plane.list("pods", namespace=namespace, selector=of("api")))) == 2
        # Where the replacements find a place, the drain goes through.
        free = next(n["metadata"]["name"] for n in plane.list("nodes") if n["metadata"]["name"] not in drained)
        with subprocess.Popen([str(BIN / "kubectl"), *command, only], env=plane.environment) as drain:
            plane.kubectl("uncordon", *[n for n in (free, "cpu-c-1", "cpu-c-2") if n not in drained])
            assert drain.wait(timeout=60) == 0
        plane.wait("condition=Available", "deployment/shop-api", namespace=namespace)
        states = seen()
    assert fewest_ready(states, wanted=3) == 2
    nodes = {pod["spec"]["nodeName"] for pod in plane.list("pods", namespace=namespace, selector=of("api"))}
    assert not nodes & set(drained)
