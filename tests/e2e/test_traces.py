"""One trace from a request through the queue to the encoder, as a collector sees it; logs and metrics beside it."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.clips import VP9, draw
from tests.servers import free_port, wait_until
from tests.systems import running_system

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REQUEST = "order-66"


@dataclass
class Collector:
    """Takes OTLP over HTTP, as an OpenTelemetry collector does."""

    url: str
    spans: list[tuple[str, Any]] = field(default_factory=list)
    """Service and span."""

    def of_trace(self) -> dict[str, list[Any]]:
        """The spans of the trace, by service."""
        found: dict[str, list[Any]] = {}
        for service, span in list(self.spans):
            if span.trace_id.hex() == TRACE:
                found.setdefault(service, []).append(span)
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                found.spans.extend((names["service.name"], span) for span in spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.full
def test_one_trace_goes_from_the_api_over_the_worker_to_the_encoder(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    metrics = free_port()
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "VIDREC_LOG_FORMAT": "json",
        "VIDREC_WORKER_METRICS_PORT": str(metrics),
    }
    with running_system(tmp_path / "data", "--videos", str(tmp_path / "none"), **environment) as system:
        clip = draw(tmp_path / "clip.webm", *VP9, seconds=6)
        asked = httpx.get(
            f"{system.url}/presigned_for_upload/upload/videos", params={"filename": clip.name}, timeout=30
        ).json()
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": REQUEST}
        put = httpx.put(asked["PresignedURL"], content=clip.read_bytes(), headers=headers, timeout=30)
        assert put.is_success
        assert put.headers["x-request-id"] == REQUEST
        status = asked["status_url"]
        wait_until(lambda: httpx.get(status, timeout=30).json()["stage"] == "indexed", timeout_s=120)
        wait_until(lambda: set(collector.of_trace()) >= {"vidrec-api", "vidrec-worker", "vidrec-encoder"}, timeout_s=30)
        spans = {service: {span.name: span for span in own} for service, own in collector.of_trace().items()}
        of_api = next(span for name, span in spans["vidrec-api"].items() if name.startswith("PUT"))
        assert of_api.parent_span_id.hex() == PARENT
        wait_until(lambda: "index_video" in {s.name for s in collector.of_trace()["vidrec-worker"]}, timeout_s=30)
        of_worker = {span.name: span for span in collector.of_trace()["vidrec-worker"]}
        assert of_worker["index_video"].parent_span_id == of_api.span_id
        assert {"worker probe", "worker decode", "worker encode", "worker index", "milvus upsert"} <= set(of_worker)
        calls = {span.span_id for span in collector.of_trace()["vidrec-worker"] if span.name == "encoder encode"}
        assert all(span.parent_span_id in calls for span in collector.of_trace()["vidrec-encoder"])

        told = [json.loads(line) for line in (tmp_path / "data" / "logs" / "worker.log").read_text().splitlines()]
        indexed = next(line for line in told if "indexed" in line["message"])
        assert (indexed["request_id"], indexed["video_id"], indexed["trace_id"]) == (REQUEST, asked["video_id"], TRACE)
        assert indexed["job_id"]
        page = httpx.get(f"http://127.0.0.1:{metrics}/metrics", timeout=10).text
        for stage in ("probe", "decode", "encode", "index"):
            assert f'vidrec_worker_stage_seconds_count{{stage="{stage}"}}' in page
        for line in (tmp_path / "data" / "logs" / "api.log").read_text().splitlines():
            if not line.startswith("vidrec api:"):
                json.loads(line)
