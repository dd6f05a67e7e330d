"""What the API tells of itself: ids of requests, metrics."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bento import metrics as encoder_metrics
from tests.servers import wait_until
from tests.service.conftest import System
from vidrec.api.metrics import Metrics
from vidrec.telemetry import Telemetry, WorkerTelemetry
from vidrec.telemetry.logs import JsonLines, ids_now

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"


def test_a_request_keeps_its_id_or_gets_one(shared: System) -> None:
    answer = shared.client.get("/recommend", params={"userid": "u"}, headers={"X-Request-ID": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    made = {shared.client.get("/livez").headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    for unfit in ("", "a b", "x" * 129, 'a"b'):
        given = shared.client.get("/livez", headers={"X-Request-ID": unfit}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", given)
    missing = shared.client.get("/videos/none", headers={"X-Request-ID": "abc-2"})
    assert (missing.status_code, missing.headers["x-request-id"]) == (422, "abc-2")


def test_lines_of_a_request_carry_its_id(shared: System, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    class Spy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(ids_now().get("request_id", ""))
            JsonLines().format(record)

    spy = Spy()
    log = logging.getLogger("vidrec.api.requests")
    log.addHandler(spy)
    with caplog.at_level(logging.DEBUG, logger=log.name):
        shared.client.get("/recommend", params={"userid": "u"}, headers={"X-Request-ID": "abc-3"})
        wait_until(lambda: "abc-3" in seen)
    log.removeHandler(spy)


def test_a_job_carries_the_request_that_asked_for_it(system: System) -> None:
    [video_id, *_] = system.library.families["sea"]
    system.client.delete(f"/videos/{video_id}", headers={"X-Request-ID": "abc-4"})
    [job] = system.queue.list()
    assert job.payload["carried"] == {"request_id": "abc-4"}


def test_recommendations_are_counted_by_strategy_and_by_source(system: System) -> None:
    page = system.get("/recommend", userid="nobody", n=4)
    assert page["strategy"] == "popular"
    text = system.client.get("/metrics").text
    assert 'vidrec_recommendations_total{strategy="popular"} 1.0' in text
    assert sum(float(n) for n in re.findall(r"vidrec_recommended_items_total\{.*\} (\S+)", text)) == 4
    assert "vidrec_jobs_oldest_due_seconds 0.0" in text


def test_every_metric_is_documented_and_every_documented_one_is_there(shared: System) -> None:
    exported = set()
    for registry in (Telemetry("x").registry, WorkerTelemetry().registry):
        exported |= {metric.name for metric in registry.collect()}
    own = CollectorRegistry()
    Metrics(shared.services.database, shared.services.queue, own)
    exported |= {metric.name for metric in own.collect()}
    exported |= {metric._name for metric in vars(encoder_metrics).values() if hasattr(metric, "_name")}
    ours = {name for name in exported if name.startswith("vidrec_")}
    documented = {
        name.removesuffix("_total") for name in re.findall(r"^\| `(vidrec_\w+)", PAGE.read_text(), re.MULTILINE)
    }
    assert documented == ours


def test_a_bug_is_answered_counted_and_logged_with_the_request_s_id(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_query: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(system.services.recommender, "recommend", broken)
    answer = system.client.get("/recommend", params={"userid": "u"}, headers={"X-Request-ID": "abc-5"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "abc-5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "a bug" not in answer.text
    [line] = [record for record in caplog.records if record.exc_info]
    assert line.getMessage() == "GET /recommend failed"
    assert 'route="/recommend",status="500"} 1.0' in system.client.get("/metrics").text
