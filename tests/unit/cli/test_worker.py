"""`vidrec worker` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def start(data: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vidrec", "worker", "--data", str(data), *options]
    environment = {**os.environ, "VIDREC_LOG_LEVEL": "INFO"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def test_with_nothing_to_do_it_ends(tmp_path: Path) -> None:
    process = start(tmp_path, "--until-empty")
    assert process.communicate(timeout=60)[1].count("Traceback") == 0
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends(tmp_path: Path, number: int) -> None:
    process = start(tmp_path)
    assert process.stderr is not None
    assert "looking for work" in process.stderr.readline()
    process.send_signal(number)
    assert process.communicate(timeout=60)[1].count("Traceback") == 0
    assert process.returncode == 0
