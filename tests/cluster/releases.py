"""Releases of the chart in a cluster, and what the values of one take for granted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.chart.charts import CHART, GIVEN, sets, templates
from tests.cluster.plane import Object, Plane

TIMEOUT = "90s"


def arguments(*values: str, files: tuple[Path, ...] = ()) -> list[str]:
    """What helm is told; with files of values these alone say what is given."""
    named = [part for file in files for part in ("--values", str(file))]
    return [*named, *sets(values if files else (*GIVEN, *values))]


def install(
    plane: Plane, namespace: str, *values: str, release: str = "shop", files: tuple[Path, ...] = (), wait: bool = True
) -> None:
    waiting = ("--wait", "--timeout", TIMEOUT) if wait else ()
    plane.helm("install", release, str(CHART), *waiting, *arguments(*values, files=files), namespace=namespace)


def upgrade(plane: Plane, namespace: str, *values: str, release: str = "shop", wait: bool = True) -> None:
    waiting = ("--wait", "--timeout", TIMEOUT) if wait else ()
    plane.helm("upgrade", release, str(CHART), *waiting, *arguments(*values), namespace=namespace)


def of(component: str, release: str = "shop") -> str:
    """Selector of a component's pods."""
    return f"app.kubernetes.io/instance={release},app.kubernetes.io/component={component}"


def condition(o: Object, name: str) -> str:
    """Status of one of its conditions; "" where it has none of that name."""
    return next((str(c["status"]) for c in o["status"].get("conditions", ()) if c["type"] == name), "")


def is_ready(pod: Object) -> bool:
    """Ready, and not on its way out."""
    return condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def inventory(plane: Plane, namespace: str) -> set[str]:
    """Everything in a namespace that lasts: events and measurements do not."""
    kinds = plane.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    lasting = ",".join(kind for kind in kinds if not kind.startswith("events"))
    return set(plane.kubectl("get", lasting, "--namespace", namespace, "--output=name").split())


def take_for_granted(plane: Plane, namespace: str, objects: Iterable[Object]) -> None:
    """Makes what the pods of a release name and it does not bring: priority and runtime classes, claims."""
    pods = [template["spec"] for _, template in templates(list(objects))]
    for name in {pod["priorityClassName"] for pod in pods if "priorityClassName" in pod}:
        plane.apply({**_named("scheduling.k8s.io/v1", "PriorityClass", name), "value": 1000})
    for name in {pod["runtimeClassName"] for pod in pods if "runtimeClassName" in pod}:
        plane.apply({**_named("node.k8s.io/v1", "RuntimeClass", name), "handler": name})
    volumes = [volume for pod in pods for volume in pod.get("volumes", ())]
    for name in {v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v}:
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        }
        bind_volume(plane, namespace, name, spec)
        plane.apply({**_named("v1", "PersistentVolumeClaim", name), "spec": spec}, namespace=namespace)


def bind_volume(plane: Plane, namespace: str, claim: str, spec: Object) -> None:
    """Makes a volume that is kept for a claim; nothing provisions any here."""
    volume = {
        "capacity": {"storage": "100Gi"},
        "accessModes": spec["accessModes"],
        "storageClassName": spec.get("storageClassName", ""),
        "hostPath": {"path": "/nowhere"},
        "claimRef": {"namespace": namespace, "name": claim},
    }
    plane.apply({**_named("v1", "PersistentVolume", f"{namespace}-{claim}"), "spec": volume})


def _named(version: str, kind: str, name: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
