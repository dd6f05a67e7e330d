"""Fifty clips of a few seconds in ten families that look different: six are drawn, four come from ffmpeg's own
sources. The same clips every time."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from vidrec.demo.scenes import HEIGHT, SCENES, WIDTH
from vidrec.domain.errors import VidrecError

CLIPS_A_FAMILY = 5
FPS = 12
MANIFEST = "manifest.csv"

_SIZE = f"s={WIDTH}x{HEIGHT}:r={FPS}"
_SOURCES: Mapping[str, Callable[[int], str]] = {
    "fractals": lambda n: (
        f"mandelbrot={_SIZE}:start_scale={0.8 + 0.5 * n}:end_scale=0.05:end_pts=60:"
        f"start_x={-0.75 + 0.02 * n}:start_y={0.1 + 0.005 * n}:inner=convergence"
    ),
    "cells": lambda n: (
        f"life={_SIZE}:ratio={0.2 + 0.08 * n}:seed={n + 1}:mold=8:"
        "life_color=#60ff60:death_color=#104018:mold_color=#0a2810"
    ),
    "testcards": lambda n: f"smpte{'hd' * (n % 2)}bars={_SIZE},hue=h={8 * n - 16}:s={1 - 0.05 * n}",
    "gradients": lambda n: (
        f"gradients={_SIZE}:seed={n + 11}:speed={0.01 + 0.008 * n}:n=4:c0=#ff9ad5:c1=#ffd1f0:c2=#c77dff:c3=#ff5fa2"
    ),
}
_TITLES = {
    "sea": "Waves",
    "city": "City at night",
    "balls": "Bouncing balls",
    "forest": "Through the forest",
    "floor": "Chequered floor",
    "fire": "Flames",
    "fractals": "Into the Mandelbrot set",
    "cells": "Game of life",
    "testcards": "Test card",
    "gradients": "Colours that flow",
}


@dataclass(frozen=True, slots=True)
class _Clip:
    number: int
    family: str
    variant: int

    @property
    def external_id(self) -> str:
        return f"demo-{self.number}"

    @property
    def path(self) -> str:
        """Webm and mp4 in turn."""
        return f"{self.family}/{self.family}-{self.variant + 1}.{'mp4' if self.number % 2 else 'webm'}"

    @property
    def seconds(self) -> int:
        return 3 + self.variant % 3


def clips() -> list[_Clip]:
    """All clips, in families."""
    families = [*SCENES, *_SOURCES]
    return [
        _Clip(f * CLIPS_A_FAMILY + v + 1, family, v) for f, family in enumerate(families) for v in range(CLIPS_A_FAMILY)
    ]


def family_members(family: str) -> list[str]:
    """External ids of a family's clips."""
    return [clip.external_id for clip in clips() if clip.family == family]


def make_library(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Makes the clips that are not there yet and answers the path of their manifest (CSV: path, external_id, title,
    category, tags), which is written last. `progress(done, total)` is called after each clip."""
    manifest = folder / MANIFEST
    wanted = clips()
    if manifest.is_file():
        return manifest
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = [pool.submit(_make, clip, folder) for clip in wanted]
        for done, future in enumerate(as_completed(made), start=1):
            future.result()
            progress(done, len(wanted))
    scratch = manifest.with_suffix(".new")
    with scratch.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "external_id", "title", "category", "tags"])
        for clip in wanted:
            title = f"{_TITLES[clip.family]} {clip.variant + 1}"
            writer.writerow([clip.path, clip.external_id, title, clip.family, f"demo;{clip.family}"])
    scratch.replace(manifest)
    return manifest


def _make(clip: _Clip, folder: Path) -> None:
    target = folder / clip.path
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".new-{target.name}")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    if clip.family in _SOURCES:
        command += ["-f", "lavfi", "-i", _SOURCES[clip.family](clip.variant)]
    else:
        command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "pipe:0"]
        command.remove("-nostdin")
    command += ["-t", str(clip.seconds), "-pix_fmt", "yuv420p", "-g", str(FPS), "-threads", "1", *_codec(target)]
    with subprocess.Popen(
        [*command, str(scratch)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as ffmpeg:
        _, complaint = ffmpeg.communicate(_drawn(clip) if clip.family in SCENES else None)
    if ffmpeg.returncode:
        raise VidrecError(f"could not make the demo clip {clip.path}: {complaint.decode(errors='replace').strip()}")
    scratch.replace(target)


def _drawn(clip: _Clip) -> bytes:
    scene = SCENES[clip.family](np.random.default_rng([clip.number, clip.variant]))
    return b"".join(scene(frame / FPS).tobytes() for frame in range(clip.seconds * FPS))


def _codec(target: Path) -> list[str]:
    if target.suffix == ".webm":
        return ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "600k"]
    return ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-movflags", "+faststart"]
