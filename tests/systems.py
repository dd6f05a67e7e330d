"""The whole system, started as `make run` starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.servers import Server, free_port, running, wait_until

NAMES = {"milvus": "milvus.lite_server", "encoder": "bentoml serve", "api": "vidrec api", "worker": "vidrec worker"}
START_S, FILL_S = 120.0, 240.0


class RunningSystem:
    """`vidrec run` as a child; what it says is in `log`."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        command = [sys.executable, "-m", "vidrec", "run", "--data", str(data), "--port", "0", *arguments]
        self.started = time.monotonic()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Waits until the address is printed."""
        self.wait_for(r"vidrec answers at (\S+)", START_S)
        [url] = re.findall(r"vidrec answers at (\S+)", self.said)
        return str(url)

    def wait_for(self, pattern: str, timeout_s: float) -> None:
        """Until it says something; AssertionError with all it said where it ends or does not."""

        def said_or_ended() -> bool:
            return re.search(pattern, self.said) is not None or self.process.poll() is not None

        with contextlib.suppress(TimeoutError):
            wait_until(said_or_ended, timeout_s=timeout_s, every_s=0.1)
        assert re.search(pattern, self.said), f"never said {pattern!r}:\n{self.said}\n{self.child_logs()}"

    def wait_until_filled(self) -> None:
        """Until all that was taken in is indexed or failed."""
        self.wait_for("recommendations: ", FILL_S)

    def child(self, name: str) -> psutil.Process:
        """The supervised process of this name (see NAMES), once it runs."""
        found: list[psutil.Process] = []

        def running() -> bool:
            found[:] = [
                p
                for p in psutil.Process(self.process.pid).children()
                if NAMES[name] in " ".join(_command(p)) and "launch.py" not in " ".join(_command(p))
            ]
            return bool(found)

        wait_until(running, timeout_s=60)
        return found[0]

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def interrupt(self, timeout_s: float = 30.0) -> int:
        """Ctrl-C; answers the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)

    def cli(self, *arguments: str, timeout_s: float = 240.0) -> subprocess.CompletedProcess[str]:
        """Another vidrec command on the same data folder."""
        command = [sys.executable, "-m", "vidrec", *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def milvus_uri(self) -> str:
        return self.child("worker").environ()["VIDREC_MILVUS_URI"]

    def child_logs(self) -> str:
        logs = sorted((self.data / "logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in logs)


@contextmanager
def running_system(data: Path, *arguments: str, **environment: str) -> Iterator[RunningSystem]:
    """A system that is ended with the block, whatever happens."""
    system = RunningSystem(data, *arguments, **environment)
    family: list[psutil.Process] = []
    try:
        yield system
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = system.family()
        if system.process.poll() is None:
            system.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                system.process.wait(30)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        system.process.wait(10)


@contextmanager
def keyed_api(system: RunningSystem) -> Iterator[str]:
    """Address of one more API on the system's stores, which asks for keys; ended with the block."""
    port = free_port()
    environment = {
        "VIDREC_AUTH": "keys",
        "VIDREC_DATA_DIR": str(system.data),
        "VIDREC_MILVUS_URI": system.milvus_uri(),
        "VIDREC_BUCKETS": '["videos", "youtubepj-v3"]',
        "VIDREC_PORT": str(port),
    }
    command = [sys.executable, "-m", "vidrec", "api"]

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return get(f"http://127.0.0.1:{port}/readyz").is_success
        return False

    log = system.data.parent / f"keyed-{port}.log"
    with running(Server(command, port, log, ready=answers, env=environment)) as server:
        yield server.uri


def new_key(system: RunningSystem, *arguments: str) -> str:
    """A key of the system's stores; arguments as of `vidrec keys create`."""
    done = system.cli("keys", "create", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def get(url: str, **params: object) -> httpx.Response:
    return httpx.get(url, params=params, timeout=60)  # type: ignore[arg-type]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
