"""Real servers for tests: started on free ports of 127.0.0.1, ended with the block, and by the kernel if the test run
itself is killed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_START_S = 60.0
_STOP_S = 10.0

# PR_SET_PDEATHSIG survives exec, so the server dies with the test process.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""

# The package's own starter leaves the server to a second process; this becomes the server. The etcd inside it would
# listen on fixed ports, so that one server could run at a time on a machine: it gets a configuration of its own.
_BECOME_MILVUS = r"""
import json, os, sys, warnings
warnings.simplefilter("ignore")
import milvus
folder, port, etcd, options = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
config = milvus.MilvusServerConfig(data_dir=folder, proxy_port=port)
server = milvus.MilvusServer(config)
written = os.path.join(folder, "configs", "milvus.yaml")
if not os.path.exists(written):  # else started before, on the same ports
    for name, value in options.items():
        config.set(name, value)
    config.resolve()
    milvus._initialize_data_files(folder)
    with open(written) as file:
        text = file.read()
    with open(written, "w") as file:
        file.write(text.replace("\netcd:\n", "\netcd:\n  config:\n    path: " + etcd + "\n", 1))
metrics, held = config.resolve_port(server.webservice_port)
held.close()
os.chdir(folder)
binary = os.path.join(folder, "bin", "milvus")
os.environ.update(DEPLOY_MODE="STANDALONE", METRICS_PORT=str(metrics), MILVUS_RUN_DIR=os.path.join(folder, "run"))
server.prepend_path_to_envs(os.environ, "LD_LIBRARY_PATH", os.path.dirname(binary))
os.execv(binary, [binary, "run", "standalone"])
"""
_ETCD = """name: default
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""


class ServerFailed(Exception):
    """A server did not start: says why, with the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10.0, every_s: float = 0.02) -> None:
    """Returns when the condition holds; TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout_s:g} s")
        time.sleep(every_s)


class Server:
    """One child process that listens on `port`; it can be killed and started again on the same port and data."""

    def __init__(
        self, command: Sequence[str], port: int, log: Path, *, ready: Callable[[], bool], env: Mapping[str, str] = {}
    ) -> None:
        self.port = port
        self.scheme = "http"
        self._command = [sys.executable, "-SEc", _DIE_WITH_PARENT, *command]
        self._log = log
        self.ready = ready
        self._env = {**os.environ, **env}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when the server answers; ServerFailed."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Starts it and does not wait. It ends with the thread that calls this."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Returns when the server answers; ServerFailed."""
        assert self._process is not None
        try:
            wait_until(self._answers_or_ended, timeout_s=_START_S)
        except TimeoutError as error:
            self.kill()
            raise ServerFailed(f"no answer within {_START_S:g} s: {self._last_words()}") from error
        if self._process.poll() is not None:
            raise ServerFailed(f"ended with {self._process.returncode}: {self._last_words()}")

    def kill(self) -> None:
        """kill -9; returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout_s: float = 30.0) -> int:
        """SIGTERM; answers the exit code. subprocess.TimeoutExpired where it does not end."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout_s)

    def stop(self) -> None:
        """Asks it to end, and insists after a while."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _answers_or_ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or self.ready()

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1000:].strip() or "it said nothing"


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Starts the server and ends it with the block; ServerFailed."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def milvus_lite(data_dir: Path, port: int | None = None) -> Server:
    """A Milvus Lite server on this folder, as vidrec starts it; not started yet."""
    from vidrec.adapters.milvus import milvus_lite_command

    port = port or free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    return Server(
        milvus_lite_command(data_dir, port),
        port,
        data_dir.parent / f"{data_dir.name}.log",
        ready=_milvus_answers(f"http://127.0.0.1:{port}"),
    )


def milvus_server(
    data_dir: Path, *, token: str = "", certificate: tuple[Path, Path] | None = None, **options: Any
) -> Server:
    """The standalone Milvus 2.3.5 of the `milvus` package on this folder; not started yet. `token`: `user:password`
    that it is to ask for (its own first one is `root:Milvus`); `certificate`: PEM files of certificate and key, for
    TLS; `options`: items of the package's template of a configuration."""
    port = free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    etcd = data_dir / "etcd.yaml"
    if not etcd.exists():
        etcd.write_text(_ETCD.format(client=free_port(), peer=free_port()))
    if token:
        options["authorization_enabled"] = True
    if certificate:
        options |= {"tls_mode": 1, "server_pem_path": str(certificate[0]), "server_key_path": str(certificate[1])}
    command = [sys.executable, "-c", _BECOME_MILVUS, str(data_dir), str(port), str(etcd), json.dumps(options)]
    server = Server(command, port, data_dir.parent / f"{data_dir.name}.log", ready=lambda: False)
    if certificate:
        server.scheme = "https"
    server.ready = _milvus_answers(server.uri, token=token, certificate=certificate[0] if certificate else None)
    return server


def _milvus_answers(uri: str, **access: Any) -> Callable[[], bool]:
    def answers() -> bool:
        from vidrec.adapters.milvus import Access, MilvusIndex
        from vidrec.domain.errors import IndexUnavailable

        index = MilvusIndex(Access(uri, **access), timeout_s=2.0)
        try:
            index.ping()
        except IndexUnavailable:
            return False
        finally:
            index.close()
        return True

    return answers


ACCESS_KEY, SECRET_KEY = "vidrec-tests", "vidrec-tests-secret"
VERSITYGW, RCLONE = "versitygw", "rclone"


def s3_servers() -> dict[str, str]:
    """Name -> path of the S3 servers that are here: versitygw where `make versitygw` built it, rclone from PyPI."""
    built = Path(__file__).parents[1] / "build" / "tools" / "bin"
    found = {
        VERSITYGW: shutil.which(VERSITYGW) or shutil.which(VERSITYGW, path=str(built)),
        RCLONE: shutil.which(RCLONE, path=str(Path(sys.executable).parent)) or shutil.which(RCLONE),
    }
    return {name: path for name, path in found.items() if path}


def s3_server(name: str, folder: Path, *, webhook: str = "") -> Server:
    """One of `s3_servers` on this folder; not started yet. What is a folder in `folder/buckets` is a bucket. versitygw
    tells the `webhook` of objects that were made."""
    port, buckets, versions = free_port(), folder / "buckets", folder / "versions"
    buckets.mkdir(parents=True, exist_ok=True)
    versions.mkdir(exist_ok=True)
    address = f"127.0.0.1:{port}"
    commands = {
        VERSITYGW: [
            *("--port", address, "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--quiet", "--keep-alive"),
            *(("--event-webhook-url", webhook) if webhook else ()),
            *("posix", "--versioning-dir", str(versions), "--sidecar", str(_made(folder / "metadata")), str(buckets)),
        ],
        RCLONE: [
            *("serve", "s3", "--addr", address, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull),
            *("--vfs-cache-mode", "off"),
            *("--cache-dir", str(folder / "cache"), str(buckets)),
        ],
    }
    return Server([s3_servers()[name], *commands[name]], port, folder / "s3.log", ready=_listens(port))


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _listens(port: int) -> Callable[[], bool]:
    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    return listens
