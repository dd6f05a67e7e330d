"""Alerts, dashboard and monitor: of metrics that there are, for this release alone, each alert with its runbook."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.chart.charts import CHART, RICH, ROOT, Object, named, needs_helm, of_kind, render

ALERTS = sorted((CHART / "files" / "alerts").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
_METRIC = re.compile(r"\bvidrec_[a-z_]+")


def told() -> set[str]:
    """Metrics of docs/telemetry.md, which a test of the processes compares with what they serve."""
    return set(re.findall(r"^\| `(vidrec_[a-z_]+)`", (ROOT / "docs" / "telemetry.md").read_text(), re.M))


def of_series(name: str) -> str:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in told() else name


def rules(objects: list[Object]) -> list[Any]:
    groups = named(objects, "PrometheusRule", "shop-alerts")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(objects: list[Object]) -> list[Any]:
    [text] = named(objects, "ConfigMap", "shop-dashboard")["data"].values()
    return list(json.loads(text)["panels"])


@pytest.mark.parametrize("file", ALERTS, ids=lambda file: file.stem)
def test_every_alert_has_a_runbook_that_tells_what_to_do(file: Any) -> None:
    text = (RUNBOOKS / f"{file.stem}.md").read_text()
    assert text.startswith(f"# {yaml.safe_load(file.read_text())['alert']}\n")
    assert "## Look" in text
    assert "## Do" in text
    assert f"({file.stem}.md)" in (RUNBOOKS / "README.md").read_text()


def test_there_is_no_runbook_without_an_alert() -> None:
    assert {f.stem for f in RUNBOOKS.glob("*.md")} == {f.stem for f in ALERTS} | {"README"}


@needs_helm
def test_expressions_are_of_metrics_that_there_are() -> None:
    objects = render(*RICH)
    queries = [t["expr"] for panel in panels(objects) for t in panel["targets"]] + [r["expr"] for r in rules(objects)]
    queries += [
        t["metadata"].get("query", "") for t in named(objects, "ScaledObject", "shop-encoder")["spec"]["triggers"]
    ]
    found = {of_series(name) for query in queries for name in _METRIC.findall(query)}
    assert found <= told()
    assert len(found) > 20
    for query in queries:
        assert query.count("(") == query.count(")"), query
        assert not re.search(r"\$(?!__rate_interval)", query), query


@needs_helm
def test_expressions_are_of_this_release_alone() -> None:
    objects = render(*RICH)
    queries = [t["expr"] for panel in panels(objects) for t in panel["targets"]] + [r["expr"] for r in rules(objects)]
    for query in queries:
        for selector in re.findall(r"\b(?:vidrec_[a-z_]+|up\b|DCGM\w+)(\{[^}]*\})?", query):
            assert 'namespace="shops"' in selector, query
            assert re.search(r'(service|exported_pod)=~?"shop-', selector), query


@needs_helm
def test_objectives_burn_over_a_long_and_a_short_window() -> None:
    found = [r for r in rules(render("monitoring.rules=true")) if r["alert"] == "VidrecApiErrors"]
    assert [(r["labels"]["severity"], r["labels"]["window"]) for r in found] == [
        *(("page", "1h"), ("page", "6h"), ("ticket", "1d"), ("ticket", "3d"))
    ]
    assert [sorted(set(re.findall(r"\[(\w+)\]", r["expr"]))) for r in found] == [
        *(["1h", "5m"], ["30m", "6h"], ["1d", "2h"], ["3d", "6h"])
    ]
    assert [re.findall(r"> ([\d.]+)", r["expr"])[0] for r in found] == ["0.014400", "0.006000", "0.003000", "0.001000"]


@needs_helm
def test_every_alert_names_severity_and_runbook() -> None:
    found = rules(render("monitoring.rules=true", "monitoring.runbooks=https://wiki.example.com/runbooks"))
    assert {r["alert"] for r in found} == {yaml.safe_load(f.read_text())["alert"] for f in ALERTS}
    for rule in found:
        assert rule["labels"]["severity"] in ("page", "ticket")
        page = rule["annotations"]["runbook_url"].removeprefix("https://wiki.example.com/runbooks/")
        assert (RUNBOOKS / page).exists()


@needs_helm
def test_the_monitor_meets_every_port_that_serves_metrics() -> None:
    objects = render(*RICH, "monitoring.labels.release=prometheus")
    monitor = named(objects, "ServiceMonitor", "shop-metrics")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    met = {n: s for n, s in of_kind(objects, "Service").items() if wanted <= s["metadata"]["labels"].items()}
    assert set(met) == {"shop-api", "shop-api-canary", "shop-encoder", "shop-worker"}
    ports = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
    assert all({p["name"] for p in s["spec"]["ports"]} & ports for s in met.values())


@needs_helm
def test_the_dashboard_shows_what_operators_ask() -> None:
    objects = render(*RICH)
    assert named(objects, "ConfigMap", "shop-dashboard")["metadata"]["labels"]["grafana_dashboard"] == "1"
    shown = panels(objects)
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in shown}) == len(shown)
    titles = " ".join(p["title"] for p in shown)
    for word in ("Requests", "Degraded", "Depth", "Age", "Stages", "upload", "GPU", "Frames of one inference"):
        assert word in titles
