"""What commands say: people read stderr and get progress bars on a terminal, programs read JSON from stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_WIDE = 1000
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line for people; markup in it is not interpreted."""
    stderr.print(message, markup=False)


def stdout() -> Console:
    """For tables that people read and cut apart: a row is a line, however wide the terminal is."""
    return Console(highlight=False, width=_WIDE)


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def progress() -> Progress:
    """A progress display on stderr, to be used as a context; silent where stderr is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )
