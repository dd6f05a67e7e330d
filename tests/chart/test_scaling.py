"""What scales what, and that nothing is scaled twice."""

from __future__ import annotations

import itertools

import pytest

from tests.chart.charts import RICH, Object, named, needs_helm, of_kind, render

pytestmark = needs_helm


def targets(objects: list[Object]) -> list[str]:
    """Of HPAs and ScaledObjects; a ScaledJob is its own."""
    scalers = [o for o in objects if o["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
    return [o["spec"]["scaleTargetRef"]["name"] for o in scalers]


@pytest.mark.parametrize(
    ("api", "encoder", "worker"),
    [*itertools.product(("none", "hpa"), ("none", "hpa", "keda"), ("none", "hpa", "keda"))],
)
def test_each_target_has_one_scaler_and_no_fixed_number_besides(api: str, encoder: str, worker: str) -> None:
    wanted = {"api": api, "encoder": encoder, "worker": worker}
    objects = render(*(f"{name}.autoscaling.scaler={scaler}" for name, scaler in wanted.items()))
    assert sorted(targets(objects)) == sorted(f"shop-{name}" for name, scaler in wanted.items() if scaler != "none")
    for name, scaler in wanted.items():
        assert ("replicas" in named(objects, "Deployment", f"shop-{name}")["spec"]) == (scaler == "none")


def test_the_api_by_cpu_and_by_requests() -> None:
    cpu = named(render("api.autoscaling.scaler=hpa"), "HorizontalPodAutoscaler", "shop-api")["spec"]
    assert [m["type"] for m in cpu["metrics"]] == ["Resource"]
    both = render("api.autoscaling.scaler=hpa", "api.autoscaling.requestsPerSecond=200")
    [_, requests] = named(both, "HorizontalPodAutoscaler", "shop-api")["spec"]["metrics"]
    assert requests["pods"]["target"] == {"type": "AverageValue", "averageValue": "200"}


def test_workers_by_the_depth_of_the_queue() -> None:
    objects = render("worker.autoscaling.scaler=keda", "worker.autoscaling.minReplicas=0")
    scaled = named(objects, "ScaledObject", "shop-worker")["spec"]
    assert (scaled["minReplicaCount"], scaled["initialCooldownPeriod"]) == (0, 300)
    [trigger] = scaled["triggers"]
    assert trigger["type"] == "postgresql"
    assert "procrastinate_jobs" in trigger["metadata"]["query"]
    login = named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    assert login["spec"]["secretTargetRef"] == [{"parameter": "connection", "name": "vidrec-database", "key": "url"}]


def test_workers_as_jobs_that_end_when_none_is_left() -> None:
    objects = render("worker.kind=scaledjob")
    assert "shop-worker" not in of_kind(objects, "Deployment")
    assert "shop-worker" not in of_kind(objects, "PodDisruptionBudget")
    assert not targets(objects)
    [container] = named(objects, "ScaledJob", "shop-worker")["spec"]["jobTargetRef"]["template"]["spec"]["containers"]
    assert container["args"] == ["worker", "--until-empty", "--concurrency", "2"]


def test_an_encoder_without_pods_is_woken_by_jobs() -> None:
    objects = render(
        *("encoder.autoscaling.scaler=keda", "encoder.autoscaling.minReplicas=0"),
        "encoder.autoscaling.prometheusAddress=http://prometheus:9090",
    )
    scaled = named(objects, "ScaledObject", "shop-encoder")["spec"]
    assert scaled["minReplicaCount"] == 0
    [jobs, wait] = scaled["triggers"]
    assert jobs["metadata"]["activationTargetQueryValue"] == "0"
    assert 'vidrec_encoder_wait_seconds_sum{namespace="shops",service="shop-encoder"}' in wait["metadata"]["query"]


def test_a_canary_takes_its_share_over_the_route() -> None:
    objects = render(*RICH)
    [rule] = named(objects, "HTTPRoute", "shop-api")["spec"]["rules"]
    assert {b["name"]: b["weight"] for b in rule["backendRefs"]} == {"shop-api": 90, "shop-api-canary": 10}
    canary = named(objects, "Deployment", "shop-api-canary")["spec"]["template"]
    assert canary["spec"]["containers"][0]["image"].endswith("/vidrec:0.2.0")
    selector = named(objects, "Service", "shop-api-canary")["spec"]["selector"]
    assert selector.items() <= canary["metadata"]["labels"].items()
