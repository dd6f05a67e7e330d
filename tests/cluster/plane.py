"""A Kubernetes control plane of this machine: etcd, API server, controllers, scheduler and metrics-server are the real
ones, nodes and what runs on them are kwok's. Pods become ready and end without a container, so that probes, network
policies and drains inside of a process are not shown by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "tools"
BIN = TOOLS / "bin"
BINARIES = (
    *("helm", "kubectl", "kwok", "kwokctl", "etcd"),
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "metrics-server"),
)
CHART = ROOT / "helm" / "vidrec"

ZONES = ("a", "b", "c")
GPUS_PER_NODE = 2
READY_AFTER_MS = 300
"""A pod that is ready at once would hide a rollout that does not wait for it."""

_NAME = "vidrec"
_START_S = 180.0
# Ends the control plane when its standard input closes: with the block, or when the test run is killed.
_END_WITH_PARENT = "import subprocess, sys; sys.stdin.read(); sys.exit(subprocess.run(sys.argv[1:]).returncode)"
# So that the autoscaler looks every few seconds; the metrics server looks no more often than this.
_ARGUMENTS = {
    "kube-controller-manager": {
        "horizontal-pod-autoscaler-sync-period": "2s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "1s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "1s",
    },
    "metrics-server": {"metric-resolution": "10s", "kubelet-request-timeout": "5s"},
}

Object = dict[str, Any]


def missing() -> list[str]:
    """Names of the binaries that are not built."""
    return [name for name in BINARIES if not (BIN / name).exists()]


class CommandFailed(Exception):
    """A command ended with another status than 0; the text is what it said."""


@dataclass(frozen=True)
class Plane:
    """kubectl and helm, turned to the control plane."""

    kubeconfig: Path

    def run(self, *command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """What a command of build/tools/bin says, whatever its exit status."""
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Standard output.

        Raises:
            CommandFailed: with what kubectl said.
        """
        return self._succeed("kubectl", *arguments, given=given)

    def helm(self, *arguments: str, namespace: str) -> str:
        """Standard output.

        Raises:
            CommandFailed: with what helm said.
        """
        return self._succeed("helm", *arguments, "--namespace", namespace)

    def _succeed(self, *command: str, given: str | None = None) -> str:
        done = self.run(*command, given=given)
        if done.returncode:
            raise CommandFailed(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def apply(self, *objects: Object, namespace: str | None = None) -> None:
        """Server-side, with fields that the server does not know refused."""
        self.apply_text(yaml.safe_dump_all(objects), namespace=namespace)

    def apply_text(self, manifests: str, *, namespace: str | None = None) -> None:
        where = ("--namespace", namespace) if namespace else ()
        self.kubectl("apply", "--server-side", "--validate=strict", *where, "-f", "-", given=manifests)

    def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> list[Object]:
        """Objects of a kind (or of several, divided by commas) in one namespace, or in all."""
        where = ("--namespace", namespace) if namespace else ("--all-namespaces",)
        found = self.kubectl("get", kind, *where, "--selector", selector, "--output", "json")
        return list(json.loads(found)["items"])

    def get(self, kind: str, name: str, *, namespace: str) -> Object:
        return dict(json.loads(self.kubectl("get", kind, name, "--namespace", namespace, "--output", "json")))

    def wait(self, condition: str, what: str, *, namespace: str, timeout_s: int = 60) -> None:
        """Waits for `what`, a name with its kind or a kind and `--all`."""
        self.kubectl("wait", f"--for={condition}", *what.split(), "--namespace", namespace, f"--timeout={timeout_s}s")

    def until(self, condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """For what `kubectl wait` cannot say."""
        wait_until(condition, timeout_s=timeout_s, every_s=0.3)

    @contextmanager
    def watch(self, kind: str, *, namespace: str, selector: str = "") -> Iterator[Callable[[], list[Object]]]:
        """Every state of the objects from now on, in order, by the function that is given."""
        command = ["get", kind, "--namespace", namespace, "--selector", selector, "--output", "json"]
        with (
            tempfile.TemporaryFile("w+") as said,  # a pipe would be full before it is read
            subprocess.Popen(
                [str(BIN / "kubectl"), *command, "--watch", "--output-watch-events"], stdout=said, env=self.environment
            ) as watching,
        ):

            def seen() -> list[Object]:
                said.seek(0)
                return decoded(said.read())

            try:
                yield seen
            finally:
                watching.terminate()


def decoded(text: str) -> list[Object]:
    """JSON values that follow each other; the last one may be cut off."""
    found, decoder, text = [], json.JSONDecoder(), text.lstrip()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break
        found.append(value)
        text = text[end:].lstrip()
    return found


@contextmanager
def control_plane(folder: Path) -> Iterator[Plane]:
    """One with CPU and GPU nodes in three zones, and the CRDs of KEDA, the Prometheus operator and the Gateway API."""
    folder.mkdir(parents=True, exist_ok=True)
    kubeconfig, config = folder / "kubeconfig", folder / "kwok.yaml"
    config.write_text(_configuration())
    environment = {
        **os.environ,
        "KWOK_WORKDIR": str(folder / "kwok"),
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    delete = [str(BIN / "kwokctl"), "delete", "cluster", "--name", _NAME]
    guard = subprocess.Popen(
        [sys.executable, "-c", _END_WITH_PARENT, *delete],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        # Not through a pipe: what it leaves running would hold it open.
        log = folder / "create.log"
        with log.open("w") as said:
            made = subprocess.run(
                _create(config, kubeconfig),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=_START_S,
                check=False,
                env=environment,
            )
        if made.returncode:
            raise CommandFailed(f"the control plane did not start: {log.read_text()[-4000:]}")
        plane = Plane(kubeconfig)
        plane.apply(*nodes())
        plane.kubectl("apply", "--server-side", "--filename", str(TOOLS / "crds"), "--recursive")
        plane.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
        plane.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
        # Without it no namespace ends, since what is in it cannot be asked.
        plane.kubectl("wait", "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io", "--timeout=60s")
        yield plane
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(timeout=60)


def _create(config: Path, kubeconfig: Path) -> list[str]:
    binaries = {
        **{name: name for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")},
        "kwok-controller": "kwok",
        "metrics-server": "metrics-server",
    }
    return [
        *(str(BIN / "kwokctl"), "create", "cluster", "--name", _NAME, "--runtime", "binary", "--wait", "120s"),
        *("--config", str(config), "--kubeconfig", str(kubeconfig)),
        *(f"--{component}-binary={BIN / name}" for component, name in binaries.items()),
        *("--enable=metrics-server", "--enable-crds=ClusterResourceUsage", "--kube-authorization", "--kube-admission"),
    ]


def _configuration() -> str:
    """Kwok's own stages of nodes and pods, with time between a pod's start and its readiness."""
    stages = [yaml.safe_load(file.read_text()) for file in sorted((TOOLS / "kwok").glob("*.yaml"))]
    for stage in stages:
        if stage["metadata"]["name"] in ("pod-ready", "pod-complete"):
            stage["spec"]["delay"] = {"durationMilliseconds": READY_AFTER_MS}
    options = {"metricsServerManifests": [str(TOOLS / "metrics-server")], "kubectlBinary": str(BIN / "kubectl")}
    patches = [
        {"name": component, "extraArgs": [{"key": key, "value": value} for key, value in arguments.items()]}
        for component, arguments in _ARGUMENTS.items()
    ]
    own = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": options,
        "componentsPatches": patches,
    }
    return yaml.safe_dump_all([own, *stages])


def nodes() -> list[Object]:
    """Two CPU nodes and one GPU node a zone; GPU nodes keep others away, as the clouds' do."""
    found = []
    for zone in ZONES:
        found += [_node(f"cpu-{zone}-{number}", zone) for number in (1, 2)]
        found.append(_node(f"gpu-{zone}", zone, gpus=GPUS_PER_NODE))
    return found


def _node(name: str, zone: str, *, gpus: int = 0) -> Object:
    resources = {"cpu": "32", "memory": "128Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    labels = {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    spec: Object = {}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
        labels |= {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-L4"}
        spec = {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}
    annotations = {
        "kwok.x-k8s.io/node": "fake",
        "metrics.k8s.io/resource-metrics-path": f"/metrics/nodes/{name}/metrics/resource",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
        "status": {"allocatable": resources, "capacity": resources},
    }
