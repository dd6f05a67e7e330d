"""The telemetry of one process: a registry of metrics, its traces, and the hooks for those who do the work."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from vidrec.application.carried import KEY, carrying
from vidrec.application.ports import Observe
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Job
from vidrec.telemetry.logs import about, ids_now
from vidrec.telemetry.traces import Kind, Traces

log = logging.getLogger(__name__)

disable_created_metrics()  # type: ignore[no-untyped-call]
_CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STATEMENT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
_STAGE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_JOB = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

System = Literal["milvus", "sql", "encoder", "worker"]


class Telemetry:
    """Of the process named `service`. What it counts is in `registry`, not in prometheus_client's global one, so that
    several may live in one process."""

    def __init__(self, service: str, traces: Traces | None = None) -> None:
        self.service = service
        self.traces = traces or Traces()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._seconds: dict[System, Histogram] = {
            "milvus": self._histogram("vidrec_milvus_call_seconds", "One call to Milvus, retries included.", "call"),
            "sql": self._histogram("vidrec_sql_statement_seconds", "One SQL statement.", "statement", _STATEMENT),
            "encoder": self._histogram(
                "vidrec_encoder_call_seconds", "One call to an encoder, retries included.", "call"
            ),
        }
        self._failures: dict[System, Counter] = {
            system: Counter(
                f"vidrec_{system}_failures",
                f"Calls of {system} that ended with an error.",
                ["call"],
                registry=self.registry,
            )
            for system in self._seconds
        }

    def observe(self, system: System) -> Observe:
        """The hook that times calls of a system, and makes a span of each where one is open."""
        seconds, failures = self._seconds[system], self._failures.get(system)
        kind: Kind = "internal" if system == "worker" else "client"

        def step(name: str, /) -> AbstractContextManager[object]:
            return _Step(
                f"{system} {name}", seconds.labels(name), failures and failures.labels(name), self.traces, kind
            )

        return step

    def headers(self) -> Mapping[str, str]:
        """What travels with a call to another process of ours: the present span and request."""
        request_id = ids_now().get("request_id")
        return {**self.traces.headers(), **({"X-Request-ID": request_id} if request_id else {})}

    def close(self) -> None:
        """Sends the traces that are left."""
        self.traces.close()

    def _histogram(self, name: str, text: str, label: str, buckets: tuple[float, ...] = _CALL) -> Histogram:
        return Histogram(name, text, [label], buckets=buckets, registry=self.registry)


class WorkerTelemetry(Telemetry):
    """Also of what a worker does with its jobs."""

    def __init__(self, traces: Traces | None = None) -> None:
        super().__init__("vidrec-worker", traces)
        self._seconds["worker"] = self._histogram(
            "vidrec_worker_stage_seconds",
            "Stages of indexing: probe of a file, decode and encode of a batch of frames, index of a video.",
            "stage",
            _STAGE,
        )
        self._job_seconds = self._histogram(
            "vidrec_worker_job_seconds", "From taking a job to its end, by kind.", "kind", _JOB
        )
        self._running = Gauge("vidrec_worker_jobs_running", "Jobs being worked on.", ["kind"], registry=self.registry)

    @contextmanager
    def around_job(self, job: Job) -> Iterator[None]:
        """The time in which a job is worked on: its lines and spans belong to it, and to whoever asked for it."""
        came = job.payload.get(KEY)
        origin = {str(k): str(v) for k, v in came.items()} if isinstance(came, Mapping) else {}
        begun = time.perf_counter()
        self._running.labels(job.kind).inc()
        try:
            with (
                self.traces.serving(
                    job.kind,
                    origin,
                    kind="consumer",
                    **{"vidrec.job_id": job.id, "vidrec.video_id": job.video_id or ""},
                ),
                carrying({**origin, **self.traces.headers()}),
                about(
                    request_id=origin.get("request_id"),
                    job_id=job.id,
                    video_id=job.video_id,
                    trace_id=self.traces.trace_id(),
                ),
            ):
                yield
        finally:
            self._running.labels(job.kind).dec()
            self._job_seconds.labels(job.kind).observe(time.perf_counter() - begun)

    def serve(self, port: int, host: str) -> None:
        """Serves the metrics on a port of their own, until the process ends; nothing for port 0. InvalidInput where the
        port cannot be had: each worker of one machine needs one of its own."""
        if not port:
            return
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            name = "VIDREC_WORKER_METRICS_PORT"
            raise InvalidInput(
                f"{name}: cannot listen on {host}:{port}: {error.strerror or error}", field=name
            ) from error
        log.info("metrics: http://%s:%d/metrics", host, port)


class _Step:
    """One timed step; made often, so no generator."""

    __slots__ = ("_begun", "_failures", "_kind", "_name", "_seconds", "_span", "_traces")

    def __init__(self, name: str, seconds: Histogram, failures: Counter | None, traces: Traces, kind: Kind) -> None:
        self._name = name
        self._seconds = seconds
        self._failures = failures
        self._traces = traces
        self._kind = kind

    def __enter__(self) -> None:
        self._span = self._traces.begin(self._name, self._kind) if self._traces.on else None
        self._begun = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds.observe(time.perf_counter() - self._begun)
        if error is not None and self._failures is not None:
            self._failures.inc()
        self._traces.end(self._span, (kind, error, trace))
