"""The processes that benchmarks start: the same commands as `vidrec run`."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from vidrec.supervisor.commands import encoder_command


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running_encoder(model: Path, *, environment: dict[str, str] | None = None) -> Iterator[str]:
    """The encoder service on a free port; gives its address, ends it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        command, variables = encoder_command(model, port=port, home=Path(home))
        log = Path(home) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env={**os.environ, **variables, **(environment or {})}, stdout=output, stderr=output
            )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"not ready: {url}\n{log.read_text()}")
