"""Bad input, pages, health and metrics: what every client meets sooner or later."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.conftest import System
from vidrec.api.errors import Problem

ROOT = Path(__file__).resolve().parents[2]


def raw(system: System, head: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to bytes that no decent client would send."""
    with socket.create_connection(("127.0.0.1", system.port), timeout=30) as connection:
        connection.sendall(head)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    status, _, body = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), body


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "userid"),
        ("userid=", "userid"),
        ("userid=%00", "userid"),
        ("userid=a%0Ab", "userid"),
        ("userid=%ff", "userid"),
        ("userid=%ED%A0%80", "userid"),
        ("userid=" + "a" * 257, "userid"),
        ("userid=" + "a" * 60_000, "userid"),
        ("userid=a&userid=b", "userid"),
        ("userid=a&n=0", "n"),
        ("userid=a&n=101", "n"),
        ("userid=a&n=-1", "n"),
        ("userid=a&n=1.5", "n"),
        ("userid=a&n=ten", "n"),
        ("userid=a&n=", "n"),
        ("userid=a&n=" + "9" * 5000, "n"),
        ("userid=a&n=NaN", "n"),
        ("userid=a&n=1&n=2", "n"),
        ("userid=a&cursor=", "cursor"),
        ("userid=a&cursor=abc", "cursor"),
        ("userid=a&cursor=%F0%9F%98%80", "cursor"),
        ("userid=a&cursor=MDE5MDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwLjA", "cursor"),
        ("userid=a&cursor=" + "A" * 5000, "cursor"),
        ("userid=a&exclude=x", "exclude"),
        ("userid=a&exclude=", "exclude"),
        ("userid=a&exclude=%00", "exclude"),
        ("userid=a&" + "&".join(["exclude=external:x"] * 1001), "exclude"),
        ("userid=a&category=", "category"),
        ("userid=a&category=%00", "category"),
        ("userid=a&N=5", "N"),
        ("userid=a&user_id=b", "user_id"),
        ("userid=a&%00=b", "\0"),
    ],
)
def test_a_bad_parameter_of_recommend_is_named(shared: System, query: str, field: str) -> None:
    response = shared.client.get(f"/recommend?{query}")
    assert response.status_code == 422, response.text
    problem = Problem.model_validate(response.json())
    assert problem.field == field
    assert field in problem.detail
    assert len(response.content) < 2000


def test_a_megabyte_of_user_id_is_refused_by_name(shared: System) -> None:
    status, body = raw(shared, b"GET /recommend?n=5&userid=" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 414
    problem = Problem.model_validate(json.loads(body))
    assert (problem.field, problem.status) == ("userid", 414)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /recommend?userid=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_in_the_same_shape(shared: System, head: bytes) -> None:
    status, body = raw(shared, head)
    assert 400 <= status < 500
    Problem.model_validate(json.loads(body))


@pytest.mark.parametrize(
    "path",
    [
        "/videos?limit=0",
        "/videos?limit=201",
        "/videos?status=ready",
        "/videos?q=",
        "/videos?q=%00",
        "/videos?cursor=x",
        "/videos?page=2",
        "/videos/external:sea-1?x=1",
        "/videos/external:sea-1/similar?n=0",
        "/videos/external:sea-1/stream?t=5",
        "/livez?x=1",
    ],
)
def test_unknown_and_bad_parameters_are_refused_everywhere(shared: System, path: str) -> None:
    response = shared.client.get(path)
    assert response.status_code == 422
    assert response.json()["field"] == re.split("[?=]", path)[1]


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner))
_FIELDS = st.sampled_from(
    ["user_id", "video_id", "external_id", "type", "event_id", "fraction", "position_s", "session_id", "ts", "x"]
)
_EVENT = st.fixed_dictionaries(
    {"user_id": st.just("fuzz") | _JSON, "external_id": st.just("sea-1") | _JSON, "type": st.just("like") | _JSON},
    optional={
        "ts": _JSON,
        "fraction": st.floats() | _JSON,
        "position_s": _JSON,
        "event_id": _JSON,
        "session_id": _JSON,
    },
) | st.dictionaries(_FIELDS, _JSON)


@settings(max_examples=100, deadline=None)
@given(body=_EVENT | st.lists(_EVENT, max_size=4) | _JSON)
def test_no_event_breaks_the_server(shared: System, body: Any) -> None:
    response = shared.client.post("/events", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code in (202, 422), response.text


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=60))
def test_no_bytes_break_the_server(shared: System, body: bytes) -> None:
    json_header = {"Content-Type": "application/json"}
    assert shared.client.post("/events", content=body, headers=json_header).status_code == 422
    assert shared.client.patch("/videos/external:sea-1", content=body, headers=json_header).status_code == 422
    assert shared.client.post("/search/image", content=body).status_code == 422


_TEXT = st.text(max_size=60) | st.sampled_from(["0", "5", "100", "sea", "external:sea-1"])


@settings(max_examples=150, deadline=None)
@given(
    parameters=st.dictionaries(
        st.sampled_from(["userid", "n", "cursor", "exclude", "category"]) | st.text(max_size=6), _TEXT, max_size=5
    )
)
def test_no_query_breaks_recommend(shared: System, parameters: dict[str, str]) -> None:
    encodable = {
        k.encode("utf-8", "replace").decode(): v.encode("utf-8", "replace").decode() for k, v in parameters.items()
    }
    response = shared.client.get("/recommend", params=encodable)
    assert response.status_code in (200, 422), response.text


@settings(max_examples=100, deadline=None)
@given(path=st.binary(min_size=1, max_size=30), method=st.sampled_from(["GET", "DELETE", "PATCH", "HEAD"]))
def test_no_path_breaks_the_server(shared: System, path: bytes, method: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in path)
    for prefix in ("/videos/", "/videos/external:", "/receipts/", "/recommendations/", "/"):
        status = shared.client.request(method, prefix + quoted).status_code
        assert 400 <= status < 500 or (method == "GET" and status == 200)


# ------------------------------------------------------------------------- health, metrics, documentation


def test_metrics_count_by_route_template_and_status(system: System) -> None:
    system.get("/recommend", userid="ann")
    system.client.get("/videos/external:sea-1")
    system.client.get("/videos/external:sea-2")
    system.client.get("/nothing/at/all")
    system.client.request("PROPFIND", "/videos")
    text = system.client.get("/metrics").text
    assert 'vidrec_http_requests_total{method="GET",route="/videos/{video_id}",status="200"} 2.0' in text
    assert 'vidrec_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'vidrec_http_requests_total{method="other",route="/videos",status="405"} 1.0' in text
    assert 'vidrec_http_request_duration_seconds_count{method="GET",route="/recommend"} 1.0' in text
    assert 'vidrec_recommendations_total{strategy="popular"} 1.0' in text
    assert 'vidrec_videos{status="indexed"} 32.0' in text
    assert "sea-1" not in text
    system.database.available = False
    assert "vidrec_videos{" not in system.client.get("/metrics").text


def test_too_many_waiting_requests_are_turned_away(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidrec.api.metrics import Observed

    monkeypatch.setattr(Observed, "limit", 0)
    response = system.client.get("/recommend?userid=ann")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert system.client.get("/livez").status_code == 200


def test_a_bug_is_a_problem_too(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(system.services.catalogue), "page", lambda *_, **__: 1 / 0)
    response = system.client.get("/videos")
    assert response.status_code == 500
    assert "division" not in Problem.model_validate(response.json()).detail


@pytest.mark.parametrize("path", ["/", "/docs", "/web/app.js", "/web/style.css", "/web/docs.js"])
def test_pages_need_nothing_from_elsewhere(shared: System, path: str) -> None:
    response = shared.client.get(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    # the icon names the namespace of SVG, which nothing fetches
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", response.text)) - {"http://www.w3.org"}
    assert not addresses
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", response.text)
    assert shared.client.get(path, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_what_pages_refer_to_is_there(shared: System) -> None:
    for page in ("/", "/docs"):
        for address in re.findall(r'(?:src|href)="(/[^"]*)"', shared.client.get(page).text):
            assert shared.client.get(address).status_code == 200, address


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def test_the_documentation_names_every_route_and_no_other(shared: System) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    documented = set(re.findall(r"^### `(GET|POST|PUT|PATCH|DELETE) (/\S*)`", text, re.MULTILINE))
    assert documented == operations(shared.get("/openapi.json"))


def test_every_error_shape_of_the_document_is_the_problem(shared: System) -> None:
    document = shared.get("/openapi.json")
    names = set(document["components"]["schemas"])
    assert {"Problem", "EventIn", "VideoPatch", "RecommendationOut"} <= names
    assert "HTTPValidationError" not in names
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in names
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
