"""How the encoder's client spreads its calls: small real servers on several addresses of the loopback, behind one name
whose addresses the test decides."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.certificates import self_signed
from tests.encoders import encoder_server
from tests.servers import free_port, running, wait_until
from tests.tiny_model import store_tiny_model
from vidrec.adapters import endpoints
from vidrec.adapters.endpoints import Endpoints
from vidrec.adapters.remote_encoder import RemoteEncoder
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch, Overloaded
from vidrec.model.frames import generated_frames

FRAMES = generated_frames(2, seed=2)
NAME = "encoder.test"


class Endpoint:
    """An encoder's HTTP side at one address: answers zeros, or `status`, each after `delay_s`."""

    def __init__(self, address: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.status = 200
        self.delay_s = 0.0
        self.served = 0
        self.busiest = 0
        self.hosts: set[str] = set()
        self.breaks_off = False
        self.connections: list[socket.socket] = []
        self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None: ...

        class HttpServer(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None: ...

        self._server = HttpServer((address, port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        with self._lock:
            self.hosts.add(request.headers["host"])
            self._now += 1
            self.busiest = max(self.busiest, self._now)
        time.sleep(self.delay_s)
        with self._lock:
            self._now -= 1
            self.served += 1
        if self.breaks_off:
            request.close_connection = True
            return
        answer = bytes(8 * (len(body) // FRAMES[0].nbytes)) if self.status == 200 else b'{"detail": "no"}'
        request.send_response(self.status)
        request.send_header("Content-Length", str(len(answer)))
        request.send_header("X-Dimension", "2")
        if self.status in (429, 503):
            request.send_header("Retry-After", "5")
        request.end_headers()
        request.wfile.write(answer)

    def close(self) -> None:
        """As a kill: connections end too."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Cluster:
    """Endpoints on one port of several addresses, and the addresses that the name stands for."""

    def __init__(self, stack: ExitStack) -> None:
        self.port = free_port()
        self.addresses: list[str] = []
        self._stack = stack

    def add(self, number: int, *, named: bool = True, **options: Any) -> Endpoint:
        endpoint = Endpoint(f"127.0.0.{number}", self.port, **options)
        self._stack.callback(endpoint.close)
        if named:
            self.addresses.append(endpoint.address)
        return endpoint

    def resolve(self, host: str, port: int) -> Sequence[str]:
        assert (host, port) == (NAME, self.port)
        if not self.addresses:
            raise OSError("Name or service not known")
        return list(self.addresses)

    def client(self, *, timeout_s: float = 5.0, scheme: str = "http", **options: Any) -> RemoteEncoder:
        url = f"{scheme}://{NAME}:{self.port}"
        client = RemoteEncoder([url], timeout_s=timeout_s, resolve=self.resolve, **options)
        self._stack.callback(client.close)
        return client


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(Endpoints.__init__, "__kwdefaults__", {**Endpoints.__init__.__kwdefaults__, "every_s": 0.1})
    monkeypatch.setattr(endpoints, "FIRST_ASIDE_S", 0.2)
    with ExitStack() as stack:
        yield Cluster(stack)


def encode(client: RemoteEncoder, times: int = 1, *, callers: int = 1) -> None:
    def one(_: int) -> None:
        assert client.encode(FRAMES, model_version="m1").shape == (2, 2)

    if callers == 1:
        for i in range(times):
            one(i)
        return
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(one, range(times)))


def test_every_address_of_a_name_is_called_in_turn(cluster: Cluster) -> None:
    there = [cluster.add(n) for n in (1, 2, 3)]
    encode(cluster.client(), 30)
    assert [e.served for e in there] == [10, 10, 10]
    assert {host for e in there for host in e.hosts} == {f"{NAME}:{cluster.port}"}  # as called by name


def test_a_slow_endpoint_gets_fewer_calls_and_never_a_queue(cluster: Cluster) -> None:
    quick, slow = cluster.add(1), cluster.add(2)
    quick.delay_s, slow.delay_s = 0.01, 0.2
    encode(cluster.client(), 60, callers=4)
    assert quick.served > 3 * slow.served
    assert slow.busiest <= 2


def test_a_new_endpoint_gets_its_share_and_one_that_left_gets_nothing(cluster: Cluster) -> None:
    first = cluster.add(1)
    client = cluster.client()
    encode(client, 4)
    second = cluster.add(2)
    wait_until(lambda: encode(client) or second.served > 0, timeout_s=5)
    before = first.served, second.served
    encode(client, 20)
    assert (first.served - before[0], second.served - before[1]) == (10, 10)
    cluster.addresses.remove(first.address)

    def only_the_second() -> bool:
        served = first.served
        encode(client, 4)
        return first.served == served

    wait_until(only_the_second, timeout_s=5)


def test_a_killed_endpoint_costs_no_call_and_is_used_again_when_back(cluster: Cluster) -> None:
    stays, goes = cluster.add(1), Endpoint("127.0.0.2", cluster.port)
    cluster.addresses.append(goes.address)
    client = cluster.client()
    encode(client, 4)
    assert goes.served == 2
    goes.close()
    encode(client, 40, callers=4)
    assert stays.served == 42
    back = cluster.add(2, named=False)
    wait_until(lambda: encode(client) or back.served > 0, timeout_s=10)


def test_one_that_breaks_off_in_the_middle_costs_no_call(cluster: Cluster) -> None:
    well, broken = cluster.add(1), cluster.add(2)
    broken.breaks_off = True
    encode(cluster.client(), 10)
    assert well.served == 10


@pytest.mark.parametrize("status", [429, 503, 500, 409])
def test_one_that_refuses_is_passed_over(cluster: Cluster, status: int) -> None:
    well, refusing = cluster.add(1), cluster.add(2)
    refusing.status = status
    encode(cluster.client(), 10)
    assert well.served == 10
    if status in (429, 503):
        assert refusing.served == 1  # it asked for five seconds


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        ((429, 500), Overloaded),
        ((503, 409), ModelVersionMismatch),
        ((503, 500), EncoderUnavailable),
    ],
)
def test_where_all_refuse_the_caller_is_told_what_helps(
    cluster: Cluster, statuses: Sequence[int], error: type[Exception]
) -> None:
    for number, status in enumerate(statuses, 1):
        cluster.add(number).status = status
    with pytest.raises(error):
        encode(cluster.client())


def test_a_silent_endpoint_is_put_aside_after_the_timeout(cluster: Cluster) -> None:
    silent, well = cluster.add(1), cluster.add(2)
    silent.delay_s = 1.0
    client = cluster.client(timeout_s=0.3)
    with pytest.raises(EncoderUnavailable, match=r"did not answer in 0\.3 s"):
        encode(client, 2)
    served = well.served
    encode(client)
    assert well.served == served + 1


def test_a_name_without_addresses_is_said_and_looked_up_again(cluster: Cluster) -> None:
    client = cluster.client()
    with pytest.raises(EncoderUnavailable, match="has no address"):
        encode(client)
    endpoint = cluster.add(1)
    encode(client)
    cluster.addresses.clear()  # a resolver that fails takes no server away
    time.sleep(0.2)
    encode(client, 3)
    time.sleep(0.05)
    encode(client, 3)
    assert endpoint.served == 7


def test_tls_checks_the_name_although_the_address_is_called(cluster: Cluster, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, f"DNS:{NAME}")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    endpoint = cluster.add(1, tls=tls)
    trusting = ssl.create_default_context(cafile=str(certificate))
    encode(cluster.client(scheme="https", verify=trusting))
    assert endpoint.hosts == {f"{NAME}:{cluster.port}"}
    assert asked == [NAME]
    with pytest.raises(EncoderUnavailable):
        encode(cluster.client(scheme="https"))  # nobody that is trusted signed it


@pytest.mark.full
def test_real_encoders_one_killed_under_load(tmp_path: Path) -> None:
    model = store_tiny_model(tmp_path / "models")
    with ExitStack() as stack:
        servers = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(stack.enter_context(running(encoder_server(model, folder))))
        client = RemoteEncoder([server.uri for server in servers], timeout_s=20)
        stack.callback(client.close)
        version = client.describe()["model_version"]
        expected = client.encode(FRAMES, model_version=version)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.encode, FRAMES, model_version=version) for _ in range(200)]
            wait_until(lambda: sum(call.done() for call in calls) > 40)
            servers[0].kill()
            for call in calls:
                np.testing.assert_allclose(call.result(), expected, atol=1e-5)
