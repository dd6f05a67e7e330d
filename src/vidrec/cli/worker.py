"""`vidrec worker`"""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from vidrec.settings import load_settings
from vidrec.telemetry import Traces, WorkerTelemetry, configure_logging


def command(
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when no job is left.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Jobs at a time.")] = 2,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Take jobs until SIGTERM or Ctrl-C; what was begun then is ended, or given back after VIDREC_DRAIN_S. Any number
    of workers may run."""
    from vidrec.bootstrap import open_worker

    settings = load_settings(data_dir=data)
    configure_logging(settings.log_level, settings.log_format)
    telemetry = WorkerTelemetry(Traces.from_environment("vidrec-worker"))
    telemetry.serve(settings.worker_metrics_port, settings.worker_metrics_host)
    stop = threading.Event()

    def end(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with closing(telemetry), open_worker(settings, concurrency=concurrency, telemetry=telemetry) as worker:
        worker.run(stop, until_empty=until_empty)
