"""Uploads: how long from the end of the transfer to recommendable, and what a large one does to the API's memory.

python -m bench.upload
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from bench import report
from bench.decode import CLIPS
from tests.clips import H264, ffmpeg
from tests.systems import RunningSystem, running_system

UPLOADS, SECONDS = 40, 60
LARGE_BYTES = 5 << 30
PIECE = bytes(1 << 20)
SAMPLE_EVERY_S = 0.05


def main() -> None:
    clip = _clip()
    with tempfile.TemporaryDirectory() as name, running_system(Path(name) / "data") as system:
        system.wait_until_filled()
        took = [_upload(system, clip, Path(name) / f"{n}.mp4") for n in range(UPLOADS)]
        with _peak_mb(system) as peak:
            seconds = _put_large(system)
    p95 = statistics.quantiles(took, n=20)[-1]
    report.write(
        "upload",
        f"## Uploads\n\n{UPLOADS} uploads of a {SECONDS}-second 720p H.264 clip, one after the other, to the demo: "
        f"from the answer to the PUT to the event `indexed` p50 {statistics.median(took):.2f} s, p95 "
        f"{report.verdict(p95, 5, 3, lower_is_better=True)} s.\n\n"
        f"One PUT of {LARGE_BYTES >> 30} GiB: {LARGE_BYTES / seconds / 1e6:.0f} MB/s; resident memory of the API "
        f"{peak[0]:.0f} MB before, at most {max(peak):.0f} MB during it.",
    )


def _clip() -> Path:
    path = CLIPS / f"{SECONDS}s.mp4"
    if not path.exists():
        CLIPS.mkdir(parents=True, exist_ok=True)
        picture = f"testsrc2=size=1280x720:rate=30:duration={SECONDS},noise=alls=8:allf=t"
        made = path.with_stem("made")
        ffmpeg("-f", "lavfi", "-i", picture, *H264, "-b:v", "2M", "-g", "150", made)
        made.rename(path)
    return path


def _signed(system: RunningSystem, name: str, size: int) -> dict[str, str]:
    query = {"filename": name, "size": size}
    answer = httpx.get(f"{system.url}/presigned_for_upload/upload/videos", params=query, timeout=30)
    return dict(answer.raise_for_status().json())


def _upload(system: RunningSystem, clip: Path, copy: Path) -> float:
    """Seconds from stored to recommendable."""
    ffmpeg("-i", clip, "-c", "copy", "-metadata", f"title={copy.stem}", copy)
    data = copy.read_bytes()
    copy.unlink()
    signed = _signed(system, copy.name, len(data))
    httpx.put(signed["PresignedURL"], content=data, timeout=60).raise_for_status()
    began = time.perf_counter()
    with httpx.stream("GET", f"{signed['status_url']}/events", timeout=120) as events:
        for line in events.iter_lines():
            if '"stage":"indexed"' in line.replace(" ", ""):
                return time.perf_counter() - began
    raise RuntimeError(httpx.get(signed["status_url"]).text)


def _put_large(system: RunningSystem) -> float:
    signed = _signed(system, "large.webm", LARGE_BYTES)
    began = time.perf_counter()
    pieces = (PIECE for _ in range(LARGE_BYTES // len(PIECE)))
    answer = httpx.put(
        signed["PresignedURL"], content=pieces, headers={"Content-Length": str(LARGE_BYTES)}, timeout=600
    )
    answer.raise_for_status()
    took = time.perf_counter() - began
    httpx.delete(signed["status_url"], timeout=60)
    return took


@contextmanager
def _peak_mb(system: RunningSystem) -> Iterator[list[float]]:
    """Samples of the API's resident memory in MB, the first from before the block."""
    api = psutil.Process(system.child("api").pid)
    samples = [api.memory_info().rss / 1e6]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            samples.append(api.memory_info().rss / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
