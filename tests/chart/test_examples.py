"""The values to begin with render as they are, and mean what they say."""

from __future__ import annotations

import pytest

from tests.chart.charts import CHART, environment, needs_helm, of_kind, pods, render, run

pytestmark = needs_helm

EXAMPLES = {file.stem: file for file in sorted((CHART / "examples").glob("*.yaml"))}


@pytest.mark.parametrize("name", EXAMPLES)
def test_renders_and_lints(name: str) -> None:
    done = run("lint", "--strict", str(CHART), "--values", str(EXAMPLES[name]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"api", "encoder", "worker", "sweep", "migrations"} <= set(pods(render(files=(EXAMPLES[name],))))


def test_there_is_one_for_each_place() -> None:
    assert set(EXAMPLES) == {"laptop", "one-gpu", "production", "air-gapped"}


def test_a_laptop_needs_no_gpu() -> None:
    encoder = pods(render(files=(EXAMPLES["laptop"],)))["encoder"]["containers"][0]
    assert "nvidia.com/gpu" not in encoder["resources"]["limits"]
    assert environment(encoder)["VIDREC_ENCODER_PROVIDER"] == "cpu"


def test_one_gpu_is_free_before_the_next_pod_wants_it() -> None:
    encoder = of_kind(render(files=(EXAMPLES["one-gpu"],)), "Deployment")["shop-encoder"]
    assert encoder["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_production_scales_and_is_watched() -> None:
    objects = render(files=(EXAMPLES["production"],))
    assert set(of_kind(objects, "ScaledObject")) == {"shop-encoder", "shop-worker"}
    assert set(of_kind(objects, "HorizontalPodAutoscaler")) == {"shop-api"}
    assert "shop-api" in of_kind(objects, "HTTPRoute")


def test_nothing_comes_from_the_internet_where_there_is_none() -> None:
    for pod in pods(render(files=(EXAMPLES["air-gapped"],))).values():
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert all(c["image"].startswith("registry.internal:5000/vidrec/vidrec") for c in pod["containers"])
        assert all("@sha256:" in c["image"] for c in pod["containers"])
