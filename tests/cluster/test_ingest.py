"""Ingest over a bucket, as the Job's controller runs it."""

from __future__ import annotations

import pytest

from tests.cluster.plane import Plane
from tests.cluster.releases import install, of

pytestmark = pytest.mark.cluster


def test_each_of_eight_parts_is_completed_once(plane: Plane, namespace: str) -> None:
    with plane.watch("pods", namespace=namespace, selector=of("ingest")) as seen:
        install(
            plane,
            namespace,
            *("ingest.enabled=true", "ingest.source=s3://films/old", "ingest.completions=8", "ingest.parallelism=4"),
            wait=False,
        )
        plane.wait("condition=Complete", f"jobs --selector={of('ingest')}", namespace=namespace)
        states = seen()
    [job] = plane.list("jobs", namespace=namespace, selector=of("ingest"))
    assert job["status"]["completedIndexes"] == "0-7"
    assert (job["status"]["succeeded"], job["status"].get("failed", 0)) == (8, 0)
    pods = plane.list("pods", namespace=namespace, selector=of("ingest"))
    parts = [pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods]
    assert sorted(parts) == [str(number) for number in range(8)]

    running: set[str] = set()
    most = 0
    for event in states:
        pod = event["object"]
        (running.add if pod["status"].get("phase") == "Running" else running.discard)(pod["metadata"]["name"])
        most = max(most, len(running))
    assert 2 <= most <= 4
