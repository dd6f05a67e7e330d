"""Where the scheduler puts pods."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cluster.plane import GPUS_PER_NODE, ZONES, Plane
from tests.cluster.releases import condition, install, of

pytestmark = pytest.mark.cluster


def nodes_of(plane: Plane, namespace: str, component: str) -> list[str]:
    pods = plane.list("pods", namespace=namespace, selector=of(component))
    return [pod["spec"]["nodeName"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def test_encoders_are_on_gpu_nodes_over_all_zones_and_nothing_else_is(plane: Plane, namespace: str) -> None:
    install(plane, namespace, "encoder.replicas=3", "api.replicas=6", "worker.replicas=6")
    assert sorted(nodes_of(plane, namespace, "encoder")) == [f"gpu-{zone}" for zone in ZONES]
    for component in ("api", "worker"):
        nodes = nodes_of(plane, namespace, component)
        assert len(nodes) == 6
        assert all(node.startswith("cpu-") for node in nodes)
        assert Counter(node.split("-")[1] for node in nodes) == dict.fromkeys(ZONES, 2)
        assert len(set(nodes)) == 6, "two on one node while another was free"


def test_without_gpus_the_encoder_goes_anywhere(plane: Plane, namespace: str) -> None:
    install(plane, namespace, "encoder.gpus=0", "encoder.replicas=2", "encoder.tolerations=null")
    assert all(node.startswith("cpu-") for node in nodes_of(plane, namespace, "encoder"))


@pytest.mark.parametrize(
    ("values", "resource"),
    [
        (("encoder.gpus=9",), "nvidia.com/gpu"),
        (("encoder.gpuResource=nvidia.com/mig-1g.10gb",), "nvidia.com/mig-1g.10gb"),
    ],
    ids=["more than a node has", "of a kind that no node has"],
)
def test_an_encoder_without_a_gpu_stays_pending_and_says_why(
    plane: Plane, namespace: str, values: tuple[str, ...], resource: str
) -> None:
    install(plane, namespace, *values, wait=False)

    def told() -> bool:
        events = plane.list("events", namespace=namespace)
        said = [e for e in events if e["reason"] == "FailedScheduling" and "encoder" in e["involvedObject"]["name"]]
        return any(f"Insufficient {resource}" in event["message"] for event in said)

    plane.until(told)
    [pod] = plane.list("pods", namespace=namespace, selector=of("encoder"))
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]
    plane.wait("condition=Available", "deployment/shop-api", namespace=namespace)


def test_an_encoder_that_waits_is_placed_when_a_gpu_is_free(plane: Plane, namespace: str) -> None:
    every = len(ZONES) * GPUS_PER_NODE
    install(plane, namespace, f"encoder.replicas={every}", release="first")
    install(plane, namespace, release="next", wait=False)
    [waiting] = pending(plane, namespace, of("encoder", "next"))
    plane.helm("uninstall", "first", namespace=namespace)
    plane.wait("condition=Ready", f"pod/{waiting}", namespace=namespace)


def pending(plane: Plane, namespace: str, selector: str) -> list[str]:
    """Names of the pods for which the scheduler found no node; waits until there is one."""

    def found() -> list[str]:
        pods = plane.list("pods", namespace=namespace, selector=selector)
        return [p["metadata"]["name"] for p in pods if condition(p, "PodScheduled") == "False"]

    plane.until(lambda: bool(found()))
    return found()
