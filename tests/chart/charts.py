"""Renders the chart, once for each set of values."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "vidrec"
GIVEN = (
    "image.registry=registry.example.com/team",
    "database.existingSecret=vidrec-database",
    "signing.existingSecret=vidrec-signing",
    "milvus.uri=http://milvus:19530",
    "s3.mediaUrl=s3://media/vidrec",
)
"""Without these nothing is rendered."""
RICH = (
    *("api.autoscaling.scaler=hpa", "encoder.autoscaling.scaler=keda", "worker.kind=scaledjob", "ingest.enabled=true"),
    *("ingest.source=s3://films/old", "gateway.enabled=true", "gateway.parentRefs[0].name=public"),
    *("gateway.hostnames[0]=videos.example.com", "api.canary.enabled=true", "api.canary.tag=0.2.0"),
    *("encoder.next.enabled=true", "encoder.next.tag=0.2.0", "monitoring.serviceMonitor=true", "monitoring.rules=true"),
    *("monitoring.dashboard=true", "tracing.endpoint=http://collector:4318", "s3.existingSecret=s3"),
    *("encoder.autoscaling.prometheusAddress=http://prometheus:9090", "database.certificateSecret=pg-ca"),
)
"""As much at once as can be."""

Object = dict[str, Any]

helm = shutil.which("helm") or shutil.which("helm", path=str(ROOT / "build" / "tools" / "bin"))
needs_helm = pytest.mark.skipif(helm is None, reason="helm is not here; `make helm` builds it where Go is")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(helm), *arguments], capture_output=True, text=True, check=False)


def sets(values: tuple[str, ...]) -> list[str]:
    return [part for value in values for part in ("--set", value)]


@functools.cache
def _rendered(values: tuple[str, ...], files: tuple[Path, ...], release: str) -> tuple[Object, ...]:
    given = [part for file in files for part in ("--values", str(file))]
    done = run("template", release, str(CHART), "--namespace", "shops", *given, *sets(values))
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document)


def render(*extra: str, files: tuple[Path, ...] = (), release: str = "shop") -> list[Object]:
    """Objects of a release, not to be changed; with files of values these alone say what is given."""
    return list(_rendered(extra if files else (*GIVEN, *extra), files, release))


def named(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Pod templates with the component whose they are."""
    for o in objects:
        spec = o.get("spec", {})
        path = {
            "Deployment": ("template",),
            "Job": ("template",),
            "CronJob": ("jobTemplate", "spec", "template"),
            "ScaledJob": ("jobTargetRef", "template"),
        }.get(o["kind"])
        component = o["metadata"]["labels"]["app.kubernetes.io/component"]
        if path:
            yield component, functools.reduce(dict.__getitem__, path, spec)
        elif o["kind"] == "Pod":
            yield component, o


def pods(objects: list[Object]) -> dict[str, Object]:
    """Pod specs by component; of two tracks the first."""
    found: dict[str, Object] = {}
    for component, template in templates(objects):
        found.setdefault(component, template["spec"])
    return found


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def environment(container: Object) -> dict[str, Any]:
    """Values, or the secret's name and key as a pair."""
    found = {}
    for variable in container["env"]:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        found[variable["name"]] = (reference["name"], reference["key"]) if reference else variable["value"]
    return found
