"""Milvus Lite, encoder, worker and API as one system."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from vidrec.domain.errors import Conflict, EncoderUnavailable, InvalidInput, Unavailable
from vidrec.settings import Settings
from vidrec.supervisor import commands
from vidrec.supervisor.process import Process

START_TIMEOUT_S = 120.0
_ADDRESSES = ("milvus_uri", "encoder_urls")
"""Of what runs on ports that were free: other commands on the same data folder read them."""
GRACE_S = 2.0
"""How much longer than `VIDREC_DRAIN_S` a process may take to end."""


class System:
    """A context: everything that was started in it is ended at its exit, in order. Use from the main thread."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        milvus, encoder = free_port(), free_port()
        self.settings = settings.model_copy(
            update={
                "data_dir": settings.data_dir.absolute(),
                "milvus_uri": f"http://127.0.0.1:{milvus}" if settings.embedded_milvus else settings.milvus_uri,
                "encoder_urls": (f"http://127.0.0.1:{encoder}",),
            }
        )
        self.embedded_milvus = settings.embedded_milvus
        self._ports = {"milvus": milvus, "encoder": encoder}
        self._say = say
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        addresses = {name: getattr(self.settings, name) for name in _ADDRESSES}
        _address_file(self.settings).write_text(json.dumps(addresses))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        _address_file(self.settings).unlink(missing_ok=True)

    @property
    def url(self) -> str:
        """Address of the API and its page."""
        return f"http://{self.settings.host}:{self.settings.port}"

    def start_milvus(self) -> None:
        self._start("milvus", commands.milvus_command(self.settings, self._ports["milvus"]))

    def start_api(self) -> None:
        self._start("api", commands.api_command())

    def start_encoder(self, model: Path) -> None:
        home = self.settings.data_dir / "bentoml"
        home.mkdir(parents=True, exist_ok=True)
        models = self.settings.models_dir
        self._start(
            "encoder",
            commands.encoder_command(
                model, port=self._ports["encoder"], home=home, models=models, drain_s=self.settings.drain_s
            ),
        )

    def start_worker(self) -> None:
        self._start("worker", commands.worker_command())

    def wait_until_ready(self, *names: str) -> None:
        """Returns when these answer. Unavailable, with the end of its log, where one ends instead or does not answer
        in time."""
        checks = {
            "milvus": lambda: _accepts(self._ports["milvus"]),
            "encoder": lambda: _answers(f"{self.settings.encoder_urls[0]}/readyz"),
            "api": lambda: _answers(f"{self.url}/readyz"),
        }
        deadline = time.monotonic() + START_TIMEOUT_S
        for name in names:
            process = self._processes[name]
            while not checks[name]():
                if not process.running:
                    raise Unavailable(f"the {name} ended with code {process.exit_code}:\n{process.tail()}")
                if time.monotonic() > deadline:
                    raise EncoderUnavailable(f"the {name} is not ready after {START_TIMEOUT_S:g} s:\n{process.tail()}")
                time.sleep(0.05)

    def watch(self, until: Callable[[], bool] = lambda: False, *, every_s: float = 0.2) -> None:
        """Keeps all processes running until the condition holds (checked between looks), saying what was restarted."""
        while not until():
            for process in self._processes.values():
                code = process.exit_code
                if process.restart_when_due():
                    self._say(f"restarted the {process.name}: it ended with code {code}; its log: {process.log}")
            time.sleep(every_s)

    def stop(self) -> None:
        """Ends everything: what takes work first, what it stands on last. A second Ctrl-C kills at once."""
        grace = self.settings.drain_s + GRACE_S
        for names in (("api", "worker"), ("encoder",), ("milvus",)):
            group = [self._processes.pop(name) for name in names if name in self._processes]
            for process in group:
                process.terminate()
            for process in group:
                try:
                    process.wait_or_kill(grace)
                except KeyboardInterrupt:
                    grace = 0.0
                    process.wait_or_kill(0)

    def pids(self) -> dict[str, int]:
        """Name -> process id of what runs."""
        return {name: process.pid for name, process in self._processes.items() if process.pid and process.running}

    def _start(self, name: str, command: commands.Command) -> None:
        arguments, variables = command
        environment = {**self.settings.environment(), **variables}
        log = self.settings.data_dir / "logs" / f"{name}.log"
        self._processes[name] = Process(name, arguments, environment, log)
        self._processes[name].start()


def settings_of_running(settings: Settings) -> Settings | None:
    """The settings with the addresses of the system that runs on the data folder; None where none does."""
    try:
        with (settings.data_dir / "lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError, ValueError):
            return settings.model_copy(update=_read_addresses(settings))
    except OSError:
        pass
    return None


def _address_file(settings: Settings) -> Path:
    return settings.data_dir / "addresses.json"


def _read_addresses(settings: Settings) -> dict[str, object]:
    told = json.loads(_address_file(settings).read_text())
    return {name: tuple(told[name]) if isinstance(told[name], list) else told[name] for name in _ADDRESSES}


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Holds the data folder for one system; Conflict names the process that has it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another one"
            raise Conflict(
                f"a system already runs on {data_dir} (process {holder}): end it first, or choose another folder by "
                "--data"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def check_port(host: str, port: int) -> int:
    """The port to listen on: the given one where it is free (InvalidInput where not), any free one for 0."""
    try:
        with socket.create_server((host, port), reuse_port=False) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        raise InvalidInput(
            f"port {port} on {host} cannot be used ({error.strerror or error}): choose another one by --port (PORT=)",
            field="port",
        ) from None


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
