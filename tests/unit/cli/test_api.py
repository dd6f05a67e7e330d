"""`vidrec api` as a process that is told to end."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.encoders import ready_at
from tests.servers import Server, free_port, running, wait_until

HALF = b"x" * 100_000


def api(folder: Path, *, drain_s: float) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "vidrec", "api", "--port", str(port), "--data", str(folder / "data")]
    ready = ready_at(port, "/livez")
    return Server(command, port, folder / "log", ready=ready, env={"VIDREC_DRAIN_S": str(drain_s)})


def signed(server: Server) -> str:
    """An address to PUT a file to."""
    answer = httpx.get(f"{server.uri}/presigned_for_upload/upload/videos", params={"filename": "a.webm"})
    return str(httpx.URL(server.uri).join(answer.json()["PresignedURL"]))


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_a_request_that_was_begun_is_ended(tmp_path: Path) -> None:
    with running(api(tmp_path, drain_s=20)) as server:

        def body() -> Iterator[bytes]:
            yield HALF
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: refuses(server.port))
            yield HALF

        answer = httpx.put(signed(server), content=body(), headers={"Content-Length": str(2 * len(HALF))}, timeout=30)
        assert answer.status_code == 200, answer.text
        assert server.terminate() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.full
def test_one_that_does_not_end_is_waited_for_as_long_as_the_setting_says(tmp_path: Path) -> None:
    with running(api(tmp_path, drain_s=1)) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        url = httpx.URL(signed(server))
        client.sendall(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" % url.raw_path + HALF)
        wait_until(lambda: bool(list(tmp_path.glob("data/media/~uploads/*"))))
        began = time.monotonic()
        assert server.terminate() == 0
        assert 0.9 < time.monotonic() - began < 15
