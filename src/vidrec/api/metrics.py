"""Prometheus metrics of the API, in the registry of the process, and the middleware that counts requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vidrec.api.errors import BUG, problem
from vidrec.application.ports import Database, JobQueue
from vidrec.domain.errors import StoreUnavailable
from vidrec.domain.models import utc_now

log = logging.getLogger(__name__)

MAX_WAITING = 256
"""So many requests may wait for the start of their answer; more are turned away at once."""
MAX_UPLOADING = 64
"""So many files or parts may come in at once; they wait for their senders, so that they are counted by themselves."""
_UPLOADS = "/upload/"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NEVER_TURNED_AWAY = frozenset({"/livez", "/readyz", "/metrics"})


class Metrics:
    """Counters of one app."""

    def __init__(self, database: Database, queue: JobQueue, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.requests = Counter(
            "vidrec_http_requests",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "vidrec_http_request_duration_seconds",
            "Time to the first byte of the answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.waiting = Gauge(
            "vidrec_http_requests_waiting", "Requests whose answer has not begun.", registry=self._registry
        )
        self.recommendations = Counter(
            "vidrec_recommendations", "Recommendations by strategy.", ["strategy"], registry=self._registry
        )
        self.degraded = Counter(
            "vidrec_degraded", "Recommendations answered while a store did not answer.", registry=self._registry
        )
        self.items = Counter(
            "vidrec_recommended_items", "Videos recommended, by where they come from.", ["source"], registry=registry
        )
        self._registry.register(_StoreCollector(database, queue))

    def exposition(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self._registry)


class _StoreCollector(Collector):
    """What SQL knows, read when Prometheus asks. Absent while SQL does not answer."""

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._database = database
        self._queue = queue

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        try:
            with self._database.snapshot() as uow:
                videos = uow.catalogue.counts()
                took = uow.uploads.seconds_to_recommendable()
            jobs = self._queue.counts()
            since = self._queue.due_since()
        except StoreUnavailable as error:
            log.warning("no metrics of videos and jobs: %s", error)
            return
        yield _by("vidrec_videos", "Videos by status.", "status", videos)
        yield _by("vidrec_jobs", "Jobs by state.", "state", jobs)
        waits_s = 0.0 if since is None else max(0.0, (utc_now() - since).total_seconds())
        yield GaugeMetricFamily("vidrec_jobs_oldest_due_seconds", "How long the oldest due job waits.", value=waits_s)
        yield _seconds(*took)


def _seconds(counts: Mapping[float, int], total: float) -> Metric:
    below = list(accumulate(counts.values()))
    buckets = [(str(bound).replace("inf", "+Inf"), count) for bound, count in zip(counts, below, strict=True)]
    text = "From the arrival of an upload's last byte until its video can be recommended."
    return HistogramMetricFamily("vidrec_upload_to_recommendable_seconds", text, buckets=buckets, sum_value=total)


def _by(name: str, text: str, label: str, counts: Any) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


class Observed:
    """ASGI middleware: counts and times requests by route template, and turns them away where too many wait."""

    limit = MAX_WAITING
    uploads = MAX_UPLOADING

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._waiting = 0
        self._uploading = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(_UPLOADS):
            await self._upload(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def _upload(self, scope: Any, receive: Any, send: Any) -> None:
        if self._uploading >= self.uploads:
            await self._turn_away("too many files are coming in", scope, receive, send)
            return
        begun = time.perf_counter()

        async def observed_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        self._uploading += 1
        try:
            await self._answered(scope, receive, observed_send)
        finally:
            self._uploading -= 1

    async def _request(self, scope: Any, receive: Any, send: Any) -> None:
        if self._waiting >= self.limit and scope["path"] not in _NEVER_TURNED_AWAY:
            await self._turn_away("too many requests are waiting", scope, receive, send)
            return
        begun = time.perf_counter()
        status = 0

        async def observed_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._change_waiting(-1)
                self._count(scope, status, time.perf_counter() - begun)
            await send(message)

        self._change_waiting(1)
        try:
            await self._answered(scope, receive, observed_send)
        finally:
            if status == 0:  # the client went away
                self._change_waiting(-1)

    async def _answered(self, scope: Any, receive: Any, send: Any) -> None:
        """A bug of ours is logged and answered here, where the line and the answer carry the request's id and are
        counted: what surrounds this app knows nothing of either."""
        begun = False

        async def noting(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if begun:
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            await problem(500, BUG)(scope, receive, send)

    async def _turn_away(self, why: str, scope: Any, receive: Any, send: Any) -> None:
        self._metrics.requests.labels(scope["method"], "turned away", 503).inc()
        await problem(503, why, headers={"Retry-After": "1"})(scope, receive, send)

    def _change_waiting(self, by: int) -> None:
        self._waiting += by
        self._metrics.waiting.set(self._waiting)

    def _count(self, scope: Any, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.duration.labels(method, route).observe(seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
