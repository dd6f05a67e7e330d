"""One supervised process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
MAX_LOG_BYTES = 10 << 20
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A process that ran for so long did not fail at its start: its next restart is not delayed."""


class Process:
    """A command that is kept running, in a process group of its own, with its output in a log file.

    To be started from the main thread only: it ends with the thread that started it.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        self._command = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
        self._environment = {**os.environ, **environment}
        self._popen: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Starts it; whatever the one before left of its process group is killed first."""
        self._kill_group()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which ends them in order
            )
        self._started_at = time.monotonic()

    def restart_when_due(self) -> bool:
        """Starts a process that died again, after a pause that doubles while it dies young; answers whether it did."""
        if self.running:
            return False
        lived = time.monotonic() - self._started_at
        if lived > STEADY_S:
            self._failures = 0
        pause = min(LONGEST_PAUSE_S, 0.5 * (2**self._failures - 1))
        if lived < pause:
            return False
        self._failures += 1
        self.restarts += 1
        self.start()
        return True

    def terminate(self) -> None:
        """Asks it to end."""
        if self._popen and self.running:
            self._popen.terminate()

    def wait_or_kill(self, timeout_s: float) -> None:
        """Waits for the end, then leaves nothing of its process group."""
        if self._popen:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_s)
        self._kill_group()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _kill_group(self) -> None:
        if self._popen:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
