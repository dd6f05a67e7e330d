"""`vidrec worker` as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def worker(data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "vidrec", "worker", "--data", str(data), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_with_nothing_to_do_it_ends(tmp_path: Path) -> None:
    with worker(tmp_path, "--until-empty") as process:
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert [line.partition(" INFO ")[2] for line in said.splitlines()] == [
        "vidrec.application.worker: looking for work, 2 jobs at a time"
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends(tmp_path: Path, number: int) -> None:
    with worker(tmp_path) as process:
        assert process.stderr is not None
        assert "looking for work" in process.stderr.readline()
        process.send_signal(number)
        assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
