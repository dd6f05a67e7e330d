"""Clips that ffmpeg draws for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vidrec.adapters.ffmpeg.commands import executable

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "200k")


def ffmpeg(*arguments: str | Path) -> None:
    """Runs ffmpeg; its messages are in the error where it fails."""
    command = [executable(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stderr=subprocess.PIPE, timeout=120)


def draw(
    path: Path,
    *options: str,
    seconds: float = 6.0,
    size: str = "128x72",
    fps: int = 10,
    gop: int = 1000,
    source: str = "testsrc2",
) -> Path:
    """A moving test picture with a keyframe every `gop` frames, H.264 unless `options` name a codec."""
    codec = () if "-c:v" in options else H264
    ffmpeg(
        *("-f", "lavfi", "-i", f"{source}=size={size}:rate={fps}:duration={seconds}"),
        *(*codec, "-g", str(gop), *options, path),
    )
    return path
