"""`vidrec worker`"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import log_to_stderr
from vidrec.settings import load_settings


def command(
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when no job is left.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Jobs at a time.")] = 2,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Take jobs until SIGTERM or Ctrl-C; what was begun then is given back at once. Any number of workers may run."""
    from vidrec.bootstrap import open_worker

    settings = load_settings(data_dir=data)
    log_to_stderr(settings.log_level)
    stop = threading.Event()

    def end(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with open_worker(settings, concurrency=concurrency) as worker:
        worker.run(stop, until_empty=until_empty)
