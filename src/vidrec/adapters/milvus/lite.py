"""Milvus Lite as a local server process, for one machine."""

from __future__ import annotations

import sys
from pathlib import Path


def milvus_lite_command(data_dir: Path, port: int) -> list[str]:
    """The command that serves `data_dir` on a loopback port like a Milvus server would. The folder must exist; one
    process may serve it at a time."""
    command = [sys.executable, "-m", "vidrec.adapters.milvus.lite_server", "server", "--data-dir", str(data_dir)]
    # One worker: the engine takes one writer at a time and hides rows from a read that meets a flush. Nothing is lost
    # by it, since its Python holds the interpreter's lock all the same.
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--max-workers", "1"]
