"""What the API server admits: Pod Security, strict fields, quotas and limit ranges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from tests.chart.charts import RICH, render, templates
from tests.cluster.plane import ROOT, CommandFailed, Object, Plane
from tests.cluster.releases import bind_volume, install, of, upgrade

pytestmark = pytest.mark.cluster
MANIFESTS = [ROOT / "k8s" / "base", *sorted(f.parent for f in (ROOT / "k8s" / "overlays").glob("*/kustomization.yaml"))]
PRIVILEGED: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged"},
    "spec": {"containers": [{"name": "it", "image": "it", "securityContext": {"privileged": True}}]},
}


def test_every_pod_is_admitted_where_the_restricted_standard_is_enforced(plane: Plane, namespace: str) -> None:
    with pytest.raises(CommandFailed, match='violates PodSecurity "restricted'):
        plane.apply(PRIVILEGED, namespace=namespace)
    objects = render(*RICH)
    plane.apply(*(o for o in objects if o["kind"] == "ServiceAccount"), namespace=namespace)
    names = []
    for number, (component, template) in enumerate([*templates(objects), *templates(render())]):
        labels = template["metadata"]["labels"]
        meta = {"name": f"{component}-{number}", "labels": labels}
        spec = {"restartPolicy": "Never", **template["spec"]} if component == "tests" else template["spec"]
        plane.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, namespace=namespace)
        names.append(component)
    assert set(names) >= {"api", "encoder", "worker", "ingest", "migrations", "sweep"}
    assert len(plane.list("pods", namespace=namespace)) == len(names)


@pytest.fixture
def overlay(request: pytest.FixtureRequest, plane: Plane, namespace: str) -> Iterator[tuple[str, str]]:
    """Manifests of a folder and the namespace that they are for, which is gone at the end."""
    manifests = plane.kubectl("kustomize", str(request.param))
    objects = [o for o in yaml.safe_load_all(manifests) if o]
    [own] = {o["metadata"].get("namespace", namespace) for o in objects if o["kind"] == "Deployment"}
    if own != namespace:  # that of the overlay before may be the same, and on its way out
        plane.kubectl("wait", "--for=delete", f"namespace/{own}", "--timeout=60s")
    yield manifests, own
    if own != namespace:
        plane.kubectl("delete", "namespace", own, "--wait=false")


@pytest.mark.parametrize("overlay", MANIFESTS, ids=lambda folder: folder.name, indirect=True)
def test_manifests_are_applied_field_by_field_and_come_up(plane: Plane, overlay: tuple[str, str]) -> None:
    manifests, namespace = overlay
    objects = [o for o in yaml.safe_load_all(manifests) if o]
    bind_volumes(plane, namespace, objects)
    plane.apply_text(manifests, namespace=namespace)
    plane.wait("condition=Available", "deployment --all", namespace=namespace)
    plane.wait("condition=Complete", "job --all", namespace=namespace)
    for name in (o["metadata"]["name"] for o in objects if o["kind"] == "StatefulSet"):
        plane.kubectl("rollout", "status", f"statefulset/{name}", "--namespace", namespace, "--timeout=60s")
    # applied again, nothing changes
    done = plane.run("kubectl", "diff", "--server-side", "--namespace", namespace, "-f", "-", given=manifests)
    assert done.returncode == 0, done.stdout + done.stderr


def bind_volumes(plane: Plane, namespace: str, objects: list[Object]) -> None:
    """A volume for each claim that will be there, also for those that a StatefulSet makes."""
    for o in objects:
        if o["kind"] == "PersistentVolumeClaim":
            bind_volume(plane, namespace, o["metadata"]["name"], o["spec"])
        for claim in o["spec"].get("volumeClaimTemplates", ()) if o["kind"] == "StatefulSet" else ():
            name = f"{claim['metadata']['name']}-{o['metadata']['name']}-0"
            bind_volume(plane, namespace, name, claim["spec"])


LIMITS: Object = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "limits"},
    "spec": {"limits": [{"type": "Container", "default": {"cpu": "4"}, "max": {"cpu": "8", "memory": "8Gi"}}]},
}


def quota(**hard: str) -> Object:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": hard}}


def test_a_quota_that_counts_everything_is_kept(plane: Plane, namespace: str) -> None:
    counted = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
    room = {**dict.fromkeys(counted, "64"), "requests.memory": "64Gi", "limits.memory": "64Gi"}
    plane.apply(LIMITS, quota(pods="8", **{**room, "requests.nvidia.com/gpu": "2"}), namespace=namespace)
    plane.until(lambda: "used" in plane.get("resourcequota", "quota", namespace=namespace).get("status", {}))
    install(plane, namespace, "api.replicas=2", "encoder.replicas=2")
    plane.wait("jsonpath={.status.used.pods}=5", "resourcequota/quota", namespace=namespace)
    used = plane.get("resourcequota", "quota", namespace=namespace)["status"]["used"]
    assert used["requests.nvidia.com/gpu"] == "2"

    # More than is allowed is told by the event, and what serves goes on serving.
    upgrade(plane, namespace, "api.replicas=12", "encoder.replicas=2", wait=False)
    plane.until(lambda: any("exceeded quota: quota" in said for said in events(plane, namespace, "FailedCreate")))
    assert plane.get("deployment", "shop-api", namespace=namespace)["status"]["readyReplicas"] >= 2


def test_a_container_above_the_limit_range_is_told_of(plane: Plane, namespace: str) -> None:
    plane.apply(LIMITS, namespace=namespace)
    install(plane, namespace, "api.resources.limits.memory=9Gi", wait=False)
    plane.until(
        lambda: any("maximum memory usage per Container is 8Gi" in s for s in events(plane, namespace, "FailedCreate"))
    )
    assert not plane.list("pods", namespace=namespace, selector=of("api"))


def events(plane: Plane, namespace: str, reason: str) -> list[str]:
    return [event["message"] for event in plane.list("events", namespace=namespace) if event["reason"] == reason]
