"""Real encoder services for tests: the command that `vidrec run` uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.servers import Server, free_port
from vidrec.supervisor.commands import encoder_command


def encoder_server(model: Path, folder: Path, **environment: str) -> Server:
    """An encoder on this model, to be started; ready when `/readyz` says so."""
    port = free_port()
    command, variables = encoder_command(model, port=port, home=folder)
    return Server(command, port, folder / "encoder.log", ready=ready_at(port), env={**variables, **environment})


def ready_at(port: int, path: str = "/readyz") -> Callable[[], bool]:
    """Whether an encoder there is ready."""

    def ask() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).is_success
        except httpx.TransportError:
            return False

    return ask
