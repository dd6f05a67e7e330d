"""A release from its installation to its end, with the controllers and admission of a real control plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chart.charts import CHART, GIVEN, RICH, render, sets
from tests.cluster.plane import CommandFailed, Plane
from tests.cluster.releases import install, inventory, is_ready, of, take_for_granted, upgrade

pytestmark = pytest.mark.cluster
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


def image_of_the_api(plane: Plane, namespace: str) -> str:
    deployment = plane.get("deployment", "shop-api", namespace=namespace)
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def test_install_upgrade_roll_back_and_uninstall_leaving_nothing(plane: Plane, namespace: str) -> None:
    before = inventory(plane, namespace)
    install(plane, namespace, "image.tag=0.1.0", "api.replicas=2")
    assert sum(map(is_ready, plane.list("pods", namespace=namespace, selector=of("api")))) == 2
    assert image_of_the_api(plane, namespace).endswith(":0.1.0")

    upgrade(plane, namespace, "image.tag=0.2.0", "api.replicas=3", "ingress.enabled=true", "ingress.host=a.example.com")
    assert sum(map(is_ready, plane.list("pods", namespace=namespace, selector=of("api")))) == 3
    assert image_of_the_api(plane, namespace).endswith(":0.2.0")
    assert plane.list("ingresses", namespace=namespace)

    plane.helm("rollback", "shop", "1", "--wait", "--timeout", "90s", namespace=namespace)
    assert image_of_the_api(plane, namespace).endswith(":0.1.0")
    assert not plane.list("ingresses", namespace=namespace)

    plane.helm("uninstall", "shop", "--wait", namespace=namespace)
    plane.until(lambda: inventory(plane, namespace) == before)


def test_the_schema_is_brought_up_to_date_before_there_are_pods(plane: Plane, namespace: str) -> None:
    with plane.watch("jobs", namespace=namespace) as seen:
        install(plane, namespace)
        upgrade(plane, namespace, "image.tag=0.2.0")
        jobs = [event["object"] for event in seen()]
    done = sorted({job["status"]["completionTime"] for job in jobs if "completionTime" in job["status"]})
    assert len({job["metadata"]["uid"] for job in jobs}) == 2, "an upgrade migrates too"
    replicas = plane.list("replicasets", namespace=namespace, selector=of("api"))
    begun = sorted(o["metadata"]["creationTimestamp"] for o in replicas)
    assert all(migrated <= pods for migrated, pods in zip(done, begun, strict=True))
    assert not plane.list("jobs", namespace=namespace)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_install(plane: Plane, namespace: str, file: Path) -> None:
    take_for_granted(plane, namespace, render(files=(file,)))
    install(plane, namespace, files=(file,))
    pods = plane.list("pods", namespace=namespace, selector="app.kubernetes.io/instance=shop")
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods} >= {"api", "encoder"}
    assert all(is_ready(pod) for pod in pods)


@pytest.mark.parametrize("file", [None, *EXAMPLES], ids=lambda file: file.stem if file else "as-much-as-can-be")
def test_the_server_knows_every_field(plane: Plane, namespace: str, file: Path | None) -> None:
    """Also those of KEDA, the Prometheus operator and the Gateway API, by the schemas of their own releases."""
    given = ("--values", str(file)) if file else tuple(sets((*GIVEN, *RICH)))
    manifests = plane.helm("template", "shop", str(CHART), *given, namespace=namespace)
    plane.apply_text(manifests, namespace=namespace)
    kinds = {o["kind"] for o in render(*RICH)}
    assert kinds >= {"ScaledObject", "ScaledJob", "TriggerAuthentication", "HTTPRoute", "ServiceMonitor"}


def test_two_releases_in_one_namespace_do_not_collide(plane: Plane, namespace: str) -> None:
    install(plane, namespace, *RICH, release="one")
    install(plane, namespace, *RICH, release="two")
    for slice_ in plane.list("endpointslices", namespace=namespace):
        owner = slice_["metadata"]["labels"]["kubernetes.io/service-name"].split("-")[0]
        targets = [endpoint["targetRef"]["name"].split("-")[0] for endpoint in slice_["endpoints"] or ()]
        assert set(targets) <= {owner}
    kept = plane.list("deployments", namespace=namespace, selector="app.kubernetes.io/instance=two")
    plane.helm("uninstall", "one", "--wait", namespace=namespace)
    left = plane.list("deployments", namespace=namespace)
    assert {d["metadata"]["uid"] for d in left} == {d["metadata"]["uid"] for d in kept}
    assert all(d["status"]["readyReplicas"] == d["spec"]["replicas"] for d in left)
    assert all("one-" not in name for name in inventory(plane, namespace))


def test_two_releases_of_one_name_in_two_namespaces_do_not_collide(plane: Plane, namespace: str) -> None:
    other = f"{namespace}-too"
    plane.kubectl("create", "namespace", other)
    try:
        install(plane, namespace, *RICH)
        install(plane, other, *RICH)
        plane.helm("uninstall", "shop", "--wait", namespace=other)
        assert plane.get("deployment", "shop-api", namespace=namespace)["status"]["readyReplicas"]
    finally:
        plane.kubectl("delete", "namespace", other, "--wait=false")


def test_wrong_values_leave_nothing_behind(plane: Plane, namespace: str) -> None:
    before = inventory(plane, namespace)
    for wrong, sentence in (
        ("worker.kind=scaledjob,worker.autoscaling.scaler=keda", "two would scale one thing"),
        ("encoder.gpus=one", "/encoder/gpus"),
    ):
        with pytest.raises(CommandFailed, match=sentence):
            install(plane, namespace, *wrong.split(","))
    assert inventory(plane, namespace) == before


def test_disruption_budgets_count_the_pods_of_their_component(plane: Plane, namespace: str) -> None:
    install(plane, namespace, *RICH)
    for component, pods in (
        ("api", 3),
        ("encoder", 2),
    ):  # two, one and the other track; the autoscaler's pods are none yet
        budget = f"shop-{component}"
        plane.wait(f"jsonpath={{.status.expectedPods}}={pods}", f"pdb/{budget}", namespace=namespace)
