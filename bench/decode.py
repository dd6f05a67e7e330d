"""Sampling ten minutes of video beside decoding every frame of it.

python -m bench.decode
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import report
from tests.clips import H264, VP9, ffmpeg
from vidrec.adapters.ffmpeg import FfmpegFrameSource
from vidrec.adapters.ffmpeg.commands import executable
from vidrec.domain.models import TimeRange

CLIPS = Path(__file__).parents[1] / "build" / "bench"
CODECS = {"H.264": (*H264, "-b:v", "2M"), "VP9": (*VP9, "-b:v", "2M", "-row-mt", "1")}
SUFFIX = {"H.264": "mp4", "VP9": "webm"}
FPS, MINUTES = 30, 10
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took."""

    wall_s: float
    cpu_s: float


def clip(codec: str, gop_s: int) -> Path:
    """Ten minutes of 720p with a keyframe every `gop_s` seconds: twenty seconds of it, over and over. Made once."""
    path = CLIPS / f"{codec.replace('.', '').lower()}-gop{gop_s}.{SUFFIX[codec]}"
    if not path.exists():
        CLIPS.mkdir(parents=True, exist_ok=True)
        part, made = path.with_stem(f"{path.stem}-part"), path.with_stem(f"{path.stem}-made")
        picture = f"testsrc2=size=1280x720:rate={FPS}:duration=20,noise=alls=8:allf=t,format=yuv420p"
        keyframes = ("-g", gop_s * FPS, "-keyint_min", gop_s * FPS)
        ffmpeg("-f", "lavfi", "-i", picture, *CODECS[codec], *map(str, keyframes), part)
        ffmpeg("-stream_loop", str(MINUTES * 3 - 1), "-i", part, "-c", "copy", made)
        part.unlink()
        made.rename(path)
    return path


def cost(work: Callable[[], object]) -> Cost:
    """Wall time, and CPU time of this process and its children."""

    def used_s() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    began, used = time.perf_counter(), used_s()
    work()
    return Cost(time.perf_counter() - began, used_s() - used)


def sample(path: Path) -> int:
    """Probes and samples the whole clip as the worker does; answers how many frames that gave."""
    source = FfmpegFrameSource(max_decode_s=900, max_memory_bytes=2 << 30, max_pixels=8192 * 4320)
    info = source.probe(path)
    return sum(len(b.times_s) for b in source.sample(path, info, TimeRange(0.0, info.duration_s), batch=32))


def decode_everything(path: Path) -> None:
    """One frame a second the plain way: every frame is decoded."""
    shape = "fps=1,crop=ih:ih,scale=224:224:flags=bilinear"
    command = [executable(), "-nostdin", "-v", "error", "-i", path, "-vf", shape, "-pix_fmt", "rgb24", "-f", "rawvideo"]
    subprocess.run([*command, "pipe:1"], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    rows = []
    for codec in CODECS:
        for gop_s in (5, 10):
            path = clip(codec, gop_s)
            frames = sample(path)
            sampling = [cost(lambda path=path: sample(path)) for _ in range(ROUNDS)]
            everything = cost(lambda path=path: decode_everything(path))
            wall_s = statistics.median(c.wall_s for c in sampling)
            cpu_s = statistics.median(c.cpu_s for c in sampling)
            faster = everything.wall_s / wall_s
            rows.append(
                [
                    f"{codec}, keyframe every {gop_s} s",
                    frames,
                    f"{wall_s:.2f} s ({cpu_s:.2f} s)",
                    f"{everything.wall_s:.1f} s ({everything.cpu_s:.1f} s)",
                    report.verdict(faster, 10, 10),
                    f"{everything.cpu_s / cpu_s:.0f}x",
                ]
            )
    head = ["clip", "frames", "probe and sample", "every frame, fps=1", "times as fast", "CPU time"]
    report.write(
        "decode",
        "## Decoding\n\n"
        f"{MINUTES} minutes of 720p at {FPS} frames a second, by the same ffmpeg; wall time (CPU time of all "
        f"processes), median of {ROUNDS} samplings beside one full decoding.\n\n" + report.table(head, rows),
    )


if __name__ == "__main__":
    main()
