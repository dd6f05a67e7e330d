"""The GPU benchmark where there is no GPU, and the load that it makes."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench import load

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_it_is_skipped_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "bench.encoder_gpu"],  # -S: without installed packages, as `make bench-gpu` asks
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bench-gpu: skipped, because this machine has no NVIDIA GPU")
    assert done.stdout.count("\n") == 1


def test_a_gpu_is_named_with_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.encoder_gpu import gpu

    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Card A, 580.1'\necho 'Card B, 580.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpu() == "Card A (driver 580.1)"


def test_arrivals_are_a_seeded_poisson_process() -> None:
    times = load.arrivals(50.0, 200.0, seed=7)
    assert times == load.arrivals(50.0, 200.0, seed=7) != load.arrivals(50.0, 200.0, seed=8)
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 200
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)  # of an exponential distribution: the mean


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [load.percentile(values, percent) for percent in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert load.percentile([3.0], 99) == 3
    assert load.percentile([1.0, 2.0, 3.0], 50) == 2


@pytest.mark.parametrize("keep_alive", [True, False])
def test_latency_counts_from_when_a_request_was_due(keep_alive: bool) -> None:
    takes_s, due_s = 0.02, [0.0, 0.0, 0.0, 0.3]

    async def measure() -> list[float]:
        async with slow_server(takes_s, keep_alive=keep_alive) as url:
            return await load.open_loop(url, [load.post(url, "/", b"frames")], due_s)

    latencies = sorted(asyncio.run(measure()))
    assert len(latencies) == len(due_s)
    assert all(latency > 0.9 * takes_s for latency in latencies)
    assert latencies[-1] > 2.7 * takes_s  # three were due at once, and the server does one after the other


def test_callers_that_wait_are_counted() -> None:
    async def measure() -> tuple[float, list[float]]:
        async with slow_server(0.01, keep_alive=True) as url:
            return await load.closed_loop(url, [load.post(url, "/", b"frames")], clients=2, seconds=0.1)

    rate, latencies = asyncio.run(measure())
    assert len(latencies) >= 2
    assert 0 < rate < 1.1 / 0.01


@asynccontextmanager
async def slow_server(takes_s: float, *, keep_alive: bool) -> AsyncIterator[str]:
    """Answers one request at a time."""
    turn = asyncio.Lock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            async with turn:
                await asyncio.sleep(takes_s)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if not keep_alive:
                break
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.sleep(0.01)  # the handlers see that their clients have gone
