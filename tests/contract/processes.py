"""Other processes that use the SQL store, for tests that let them run at once or kill them."""

from __future__ import annotations

import subprocess
import sys

HEAD = """
import os, signal, sys, time
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.domain.models import NewJob
url, urls = sys.argv[1], sys.argv[1:]
def open_queue(database):
    if database.dialect == "postgresql":
        from vidrec.adapters.procrastinate_queue import ProcrastinateQueue
        return ProcrastinateQueue(database)
    from vidrec.adapters.sqlite_queue import SqliteQueue
    return SqliteQueue(database)
"""
"""What their code begins with; `url` is the first argument. Little is imported, since many are started."""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of its own that runs this code."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def finish_together(code: str, count: int, *arguments: str) -> list[list[str]]:
    """Starts so many processes, which say "ready", and lets them go at the same moment; the lines that each wrote."""
    processes = [start(code, *arguments) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            outputs.append(out.split())
        return outputs
    finally:
        for process in processes:
            process.kill()
            process.communicate()
