"""Resident memory of each process of the demo, at rest and while a two-hour video is taken in.

python -m bench.memory
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from bench import report
from bench.decode import CLIPS
from tests.clips import H264, ffmpeg
from tests.systems import NAMES, RunningSystem, get, running_system

HOURS = 2
PART_S = 60
REQUESTS = 200
SAMPLE_EVERY_S = 0.1
LIMITS_MB: Mapping[str, int] = {"api": 200, "encoder": 500, "whole": 1500, "flight": 300}


def main() -> None:
    video = _long_video()
    with tempfile.TemporaryDirectory() as name, running_system(Path(name) / "data") as system:
        system.wait_until_filled()
        _use(system)
        with _peak(system) as rest:
            _use(system)
        with _peak(system) as flight:
            done = system.cli("ingest", str(video), timeout_s=900)
        if done.returncode:
            raise RuntimeError(done.stderr)
    report.write("memory", _text(rest, flight))


def _long_video() -> Path:
    """Two hours of 720p; made once."""
    path = CLIPS / f"{HOURS}h.mp4"
    if not path.exists():
        CLIPS.mkdir(parents=True, exist_ok=True)
        part, made = path.with_stem("part"), path.with_stem("made")
        picture = f"testsrc2=size=1280x720:rate=30:duration={PART_S}"
        ffmpeg("-f", "lavfi", "-i", picture, *H264, "-b:v", "500k", "-g", "150", part)
        ffmpeg("-stream_loop", str(HOURS * 3600 // PART_S - 1), "-i", part, "-c", "copy", made)
        part.unlink()
        made.rename(path)
    return path


def _use(system: RunningSystem) -> None:
    """What viewers do, so that nothing is measured that was not used yet."""
    users = ("mina", "jun", "sora", "demo", "somebody new")
    picture = b""
    for i in range(REQUESTS):
        items = get(f"{system.url}/recommend", userid=users[i % len(users)], n=50).json()["items"]
        picture = picture or get(f"{system.url}{items[0]['links']['thumbnail']}").content
    for _ in range(10):
        httpx.post(f"{system.url}/search/image", content=picture, timeout=60).raise_for_status()


@contextmanager
def _peak(system: RunningSystem) -> Iterator[dict[str, float]]:
    """Fills in, at the end of the block, the highest resident memory of each process with its children, in MB, and that
    of all together under `whole`."""
    peak: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            now = _resident(system)
            now["whole"] = sum(now.values())
            for process, megabytes in now.items():
                peak[process] = max(peak.get(process, 0.0), megabytes)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _resident(system: RunningSystem) -> dict[str, float]:
    roots = {name: system.child(name) for name in NAMES}
    found = {name: _rss_mb(root) + sum(map(_rss_mb, _children(root))) for name, root in roots.items()}
    return {**found, "supervisor": _rss_mb(psutil.Process(system.process.pid))}


def _children(root: psutil.Process) -> list[psutil.Process]:
    """All below it, without those just forked that are no program of their own yet: their pages are their parent's."""
    found = []
    for child in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            parent = child.parent()
            if parent is None or child.cmdline() != parent.cmdline():
                found.append(child)
    return found


def _rss_mb(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 1e6
    return 0.0


def _text(rest: Mapping[str, float], flight: Mapping[str, float]) -> str:
    rows = [(name, f"{rest[name]:.0f}", f"{flight[name]:.0f}") for name in (*NAMES, "supervisor", "whole")]
    checks = {
        "api": rest["api"],
        "encoder": rest["encoder"],
        "whole": rest["whole"],
        "flight": flight["whole"] - rest["whole"],
    }
    names = {
        "api": "API",
        "encoder": "encoder",
        "whole": "the whole demo",
        "flight": f"a {HOURS}-hour video in flight, more",
    }
    told = ", ".join(
        f"{names[key]} **{value:.0f}** of {LIMITS_MB[key]}{'' if value <= LIMITS_MB[key] else ' (NOT accepted)'}"
        for key, value in checks.items()
    )
    return f"""## Memory

Resident megabytes of each process with its children, what they share counted in each; the highest of samples every
{SAMPLE_EVERY_S} s. In use: the demo library, {REQUESTS} pages of recommendations, searches by picture. In flight: also
a {HOURS}-hour 720p video on its way through ffmpeg, the encoder and Milvus Lite.

{report.table(("process", "in use", f"{HOURS}-hour video in flight"), rows)}

Against the limits: {told}."""


if __name__ == "__main__":
    main()
