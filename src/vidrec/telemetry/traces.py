"""OpenTelemetry traces, where an OTLP endpoint is set; otherwise nothing of OpenTelemetry is loaded and every call here
returns at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from vidrec import __version__

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
Kind = Literal["server", "consumer", "client", "internal"]


class Traces:
    """The traces of one process. Spans are sent in batches from a thread of their own; what cannot be sent is dropped.
    A step inside of no span makes none."""

    def __init__(self, tracer: Any = None, provider: Any = None) -> None:
        self._tracer = tracer
        self._provider = provider

    @classmethod
    def from_environment(cls, service: str) -> Traces:
        """What the OTEL_ variables ask for; OTEL_SERVICE_NAME names the service, else `service` does."""
        off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        if off or not any(os.environ.get(name) for name in _ENDPOINTS):
            return cls()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        name = os.environ.get("OTEL_SERVICE_NAME") or service
        provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": __version__}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider.get_tracer("vidrec", __version__), provider)

    @property
    def on(self) -> bool:
        """Whether anything is traced."""
        return self._tracer is not None

    @contextmanager
    def serving(
        self, name: str, carrier: Mapping[str, str], *, kind: Kind = "server", **attributes: str
    ) -> Iterator[Any]:
        """A span for work that somebody else asked for; `carrier` (such as a request's headers) names their span, if
        any. The span, or None; an error that leaves the block is noted in it."""
        if self._tracer is None:
            yield None
            return
        from opentelemetry.propagate import extract

        with self._tracer.start_as_current_span(
            name, context=extract(carrier), kind=_kind(kind), attributes=dict(attributes)
        ) as span:
            yield span

    def begin(self, name: str, kind: Kind = "internal") -> Any:
        """Enters a span below the present one, to be ended by `end`; None where there is none."""
        if self._tracer is None:
            return None
        from opentelemetry.trace import get_current_span

        if not get_current_span().get_span_context().is_valid:
            return None
        span = self._tracer.start_as_current_span(name, kind=_kind(kind))
        span.__enter__()
        return span

    def end(self, span: Any, error: Sequence[Any] = (None, None, None)) -> None:
        """Leaves what `begin` answered."""
        if span is not None:
            span.__exit__(*error)

    def headers(self) -> Mapping[str, str]:
        """What tells another process of the present span; empty where there is none."""
        if self._tracer is None:
            return {}
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier)
        return carrier

    def trace_id(self) -> str | None:
        """Of the present span, in hexadecimal."""
        if self._tracer is None:
            return None
        from opentelemetry.trace import format_trace_id, get_current_span

        context = get_current_span().get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else None

    def close(self) -> None:
        """Sends what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def _kind(kind: Kind) -> Any:
    from opentelemetry.trace import SpanKind

    return SpanKind[kind.upper()]
