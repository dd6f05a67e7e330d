"""The autoscaler's own controller, with what the metrics server reads from kwok's nodes."""

from __future__ import annotations

import pytest

from tests.cluster.plane import Plane
from tests.cluster.releases import install

pytestmark = pytest.mark.cluster


def use(plane: Plane, namespace: str, cpu: str) -> None:
    """Each container of the namespace uses so much from now on."""
    plane.apply(
        {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterResourceUsage",
            "metadata": {"name": namespace},
            "spec": {
                "selector": {"matchNamespaces": [namespace]},
                "usages": [{"usage": {"cpu": {"value": cpu}, "memory": {"value": "100Mi"}}}],
            },
        }
    )


def replicas(plane: Plane, namespace: str) -> int:
    return int(plane.get("deployment", "shop-api", namespace=namespace)["spec"]["replicas"])


def test_the_api_is_scaled_up_and_down_by_what_it_uses(plane: Plane, namespace: str) -> None:
    use(plane, namespace, "700m")  # of 500m requested, where 70 % are wanted
    install(
        plane,
        namespace,
        *("api.autoscaling.scaler=hpa", "api.autoscaling.minReplicas=2", "api.autoscaling.maxReplicas=4"),
    )
    plane.until(lambda: replicas(plane, namespace) == 4, timeout_s=120)
    plane.wait("condition=Available", "deployment/shop-api", namespace=namespace)
    scaler = plane.get("hpa", "shop-api", namespace=namespace)
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    # The test has no five minutes in which the load must stay low.
    now = '{"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}'
    plane.kubectl("patch", "hpa", "shop-api", "--namespace", namespace, "--type=merge", f"--patch={now}")
    use(plane, namespace, "50m")
    plane.until(lambda: replicas(plane, namespace) == 2, timeout_s=120)
