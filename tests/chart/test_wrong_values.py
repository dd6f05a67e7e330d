"""Values that cannot work are refused, with what to write."""

from __future__ import annotations

import pytest

from tests.chart.charts import CHART, GIVEN, needs_helm, run, sets

pytestmark = needs_helm


def without(name: str) -> tuple[str, ...]:
    return tuple(value for value in GIVEN if not value.startswith(name))


HPA = "api.autoscaling.scaler=hpa"
GATEWAY = ("gateway.enabled=true", "gateway.parentRefs[0].name=public")
WRONG = [
    # what is missing
    (without("image"), "image.registry is empty: set it to the registry that holds your vidrec images"),
    (without("database"), "database.existingSecret is empty: name the secret"),
    (without("signing"), "signing.existingSecret is empty: name the secret that holds at least 32 random characters"),
    (without("milvus"), "milvus.uri is empty: set it to the address of your Milvus"),
    (without("s3"), "s3.mediaUrl is empty: set it to s3://bucket"),
    (("ingress.enabled=true",), "ingress.host is empty: set it to the name"),
    (("gateway.enabled=true",), "gateway.parentRefs is empty: name the Gateway"),
    (("ingest.enabled=true",), "write what to take in as s3://bucket/prefix"),
    ((*GATEWAY, "api.canary.enabled=true"), "api.canary.tag is empty: set it to the tag of the release to try"),
    (("milvus.userKey=user", "milvus.passwordKey=password"), "milvus.existingSecret is empty: name the secret"),
    (("milvus.userKey=user", "milvus.existingSecret=m"), "milvus.userKey and milvus.passwordKey go together: set both"),
    (("milvus.existingSecret=m", "milvus.tokenKey="), "milvus.tokenKey is empty: name the key of m"),
    # what is written wrongly
    (("image.registry=https://registry.example.com",), "write it without http:// or https://"),
    (("image.repository=vidrec:1",), "write the image's name alone"),
    (("image.tag=vidrec:1",), "write the tag alone"),
    (("milvus.uri=milvus:19530",), "write it as http://host:19530"),
    (("s3.mediaUrl=bucket",), "s3.mediaUrl is bucket: write it as s3://bucket"),
    (("s3.endpoint=store:9000",), "s3.endpoint is store:9000: write it as http://host:9000"),
    (
        ("s3.publicEndpoint=https://media.example.com/path",),
        "s3.publicEndpoint is https://media.example.com/path: write",
    ),
    (("tracing.endpoint=collector:4318",), "write it as http://host:4318"),
    (("publicUrl=videos.example.com",), "write it as https://videos.example.com"),
    (("ingress.host=https://videos.example.com",), "write the name alone, such as videos.example.com"),
    (("milvus.certificateSecret=ca",), "write milvus.uri with https://"),
    (("ingest.enabled=true", "ingest.source=films"), 'ingest.source is "films": write what to take in as s3://'),
    (("settings.VIDREC_DATABASE_URL=x",), "settings.VIDREC_DATABASE_URL is set by the chart itself: use database."),
    (("settings.VIDREC_ENCODER_QUEUE=99",), "write it under encoder.settings"),
    (("encoder.settings.VIDREC_ENCODER_PROVIDER=cpu",), "is set by the chart itself: use encoder.gpus"),
    # what cannot be together
    (
        ("ingress.enabled=true", "ingress.host=a", *GATEWAY),
        "ingress.enabled and gateway.enabled are both true: choose one",
    ),
    (("api.canary.enabled=true", "api.canary.tag=v1"), "api.canary.enabled needs gateway.enabled"),
    (("worker.kind=scaledjob", "worker.autoscaling.scaler=keda"), "two would scale one thing; write scaler: none"),
    (("worker.kind=scaledjob", "worker.autoscaling.scaler=hpa"), "two would scale one thing; write scaler: none"),
    (
        ("encoder.autoscaling.scaler=hpa", "encoder.autoscaling.prometheusAddress=http://p"),
        "two would scale one thing; choose one",
    ),
    (("encoder.autoscaling.scaler=hpa", "encoder.autoscaling.minReplicas=0"), "write 1, or scaler: keda"),
    ((HPA, "api.autoscaling.minReplicas=20"), "must not be above maxReplicas (10)"),
    ((HPA, "api.resources.requests.cpu=null"), "api.resources.requests.cpu is missing"),
    (("api.terminationGracePeriodSeconds=15",), "api.terminationGracePeriodSeconds is 15: write more than 20"),
    (("encoder.drainSeconds=60",), "encoder.terminationGracePeriodSeconds is 60: write more than 65"),
    (("worker.drainSeconds=90",), "worker.terminationGracePeriodSeconds is 90: write more than 90"),
    (("encoder.maxSurge=0",), "no rollout could begin; write 1 for one of them"),
    (("encoder.next.enabled=true",), "set encoder.next.tag or encoder.next.modelPath"),
    (("encoder.modelPath=/models/first",), "name the volume that is mounted at /models"),
    ((r"encoder.resources.limits.nvidia\.com/gpu=1",), "write the number of GPUs as encoder.gpus"),
    (
        ("ingest.enabled=true", "ingest.source=s3://films", "ingest.parallelism=9"),
        "ingest.parallelism is 9: there are only 8 parts",
    ),
    # what the schema knows
    (("auth=maybe",), "/auth': value must be one of 'keys', 'off'"),
    (("api.autoscaling.scaler=keda",), "/api/autoscaling/scaler': value must be one of 'none', 'hpa'"),
    (("worker.kind=statefulset",), "/worker/kind': value must be one of 'deployment', 'scaledjob'"),
    (("migrations.mode=init",), "/migrations/mode': value must be one of 'hook', 'job', 'none'"),
    (("image.pullPolicy=Sometimes",), "/image/pullPolicy': value must be one of 'Always'"),
    (("encoder.gpus=-1",), "/encoder/gpus': minimum: got -1, want 0"),
    (("encoder.gpus=one",), "/encoder/gpus': got string, want integer"),
    (("encoder.gpuResource=gpu",), "/encoder/gpuResource': 'gpu' does not match pattern"),
    (("api.maxUnavailable=half",), "/api/maxUnavailable"),
    (("api.canary.weight=200",), "/api/canary/weight': maximum: got 200, want 100"),
    (("worker.metricsPort=70000",), "/worker/metricsPort': maximum: got 70,000, want 65,535"),
    (("sweep.schedule=often",), "/sweep/schedule': 'often' does not match pattern"),
    (("monitoring.objectives.availability=99",), "/monitoring/objectives/availability': exclusiveMaximum"),
    (("api.replica=3",), "/api': additional properties 'replica' not allowed"),
    (("settings.POLL=3",), "POLL"),
    (("surprise=1",), "additional properties 'surprise' not allowed"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=[" ".join(v[-2:]) for v, _ in WRONG])
def test_wrong_values_are_refused(values: tuple[str, ...], sentence: str) -> None:
    given = values if set(values) < set(GIVEN) else (*GIVEN, *values)
    done = run("template", "shop", str(CHART), *sets(given))
    assert done.returncode != 0
    assert sentence in done.stderr


def test_all_that_is_wrong_is_said_at_once() -> None:
    done = run("template", "shop", str(CHART))
    assert [
        name for name in ("image.", "database.", "signing.", "milvus.", "s3.") if f"- {name}" not in done.stderr
    ] == []
