"""What vidrec tells of itself: logs, metrics, traces. Every process makes one `Telemetry` and passes its hooks to the
adapters and the use cases, which know nothing of who listens (`application/ports/observing.py`). docs/telemetry.md
lists it all."""

from vidrec.telemetry.logs import about, configure_logging
from vidrec.telemetry.process import Telemetry, WorkerTelemetry
from vidrec.telemetry.traces import Traces

__all__ = ["Telemetry", "Traces", "WorkerTelemetry", "about", "configure_logging"]
