"""Load on the encoder service over raw keep-alive connections: callers that wait for their answers, and arrivals that
wait for nobody. The standard library alone: what the client costs is taken from what is measured."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

READ_AHEAD = 1 << 20
"""Bytes that a connection buffers: the embeddings of the largest batch fit."""


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        host, port = url.removeprefix("http://").split(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=READ_AHEAD))

    @property
    def ended(self) -> bool:
        """Whether the service has closed it, as it does with idle ones."""
        return self._reader.at_eof()

    async def send(self, request: bytes) -> None:
        """Returns when the whole answer is there."""
        self._writer.write(request)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def post(url: str, path: str, body: bytes) -> bytes:
    """The bytes of one request."""
    head = f"POST {path} HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def closed_loop(
    url: str, requests: Sequence[bytes], *, clients: int, seconds: float
) -> tuple[float, list[float]]:
    """Each client sends its request again when the answer is there. Answers (requests a second, latencies in
    seconds)."""
    latencies: list[float] = []
    ends = time.perf_counter() + seconds

    async def client(request: bytes) -> None:
        connection = await Connection.open(url)
        while (sent := time.perf_counter()) < ends:
            await connection.send(request)
            latencies.append(time.perf_counter() - sent)
        connection.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(requests[i % len(requests)]) for i in range(clients)))
    return len(latencies) / (time.perf_counter() - started), latencies


async def open_loop(url: str, requests: Sequence[bytes], due_s: Sequence[float]) -> list[float]:
    """Sends when due, whatever is still unanswered. Latencies in seconds from the time a request was due, so that one
    that had to wait in this process counts its wait."""
    latencies: list[float] = []
    idle: list[Connection] = []
    started = time.perf_counter()

    async def call(request: bytes, due: float) -> None:
        await asyncio.sleep(started + due - time.perf_counter())
        while idle and idle[-1].ended:
            idle.pop().close()
        connection = idle.pop() if idle else await Connection.open(url)
        await connection.send(request)
        latencies.append(time.perf_counter() - started - due)
        idle.append(connection)

    await asyncio.gather(*(call(requests[i % len(requests)], due) for i, due in enumerate(due_s)))
    for connection in idle:
        connection.close()
    return latencies


def arrivals(rate: float, seconds: float, *, seed: int) -> list[float]:
    """Times of a Poisson process of `rate` a second, from 0 to `seconds`. The same seed gives the same times."""
    random_times = random.Random(seed)
    times: list[float] = []
    at = random_times.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += random_times.expovariate(rate)
    return times


def percentile(values: Sequence[float], percent: int) -> float:
    """The least of the values that so many per cent of them do not exceed (nearest rank)."""
    rank = max(-(-percent * len(values) // 100), 1)
    return sorted(values)[rank - 1]
