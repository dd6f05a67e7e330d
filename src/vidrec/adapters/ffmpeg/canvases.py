"""From ffmpeg's output to sampled frames."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from PIL import Image

from vidrec.adapters.ffmpeg.commands import FRAME_SIDE, Canvas
from vidrec.domain.models import SampledFrames

_JPEG_QUALITY = 80

RgbImage = npt.NDArray[np.uint8]


def sampled_frames(chunks: Iterable[tuple[str, bytes]], canvas: Canvas, batch: int) -> Iterator[SampledFrames]:
    """Pairs canvases with their times as both come, in batches of at most `batch`. Frames that do not come after the
    one before them are left out."""
    held: list[tuple[float, RgbImage]] = []
    last = -1.0
    for time_s, image in _timed(chunks, canvas):
        if time_s <= last:
            continue
        held.append((time_s, image))
        last = time_s
        if len(held) == batch:
            yield _batch(held, canvas)
            held = []
    if held:
        yield _batch(held, canvas)


def _timed(chunks: Iterable[tuple[str, bytes]], canvas: Canvas) -> Iterator[tuple[float, RgbImage]]:
    pixels, line = bytearray(), b""
    times: deque[float] = deque()
    for channel, data in chunks:
        if channel == "stdout":
            pixels += data
        else:
            *lines, line = (line + data).split(b"\n")
            times.extend(_seconds(text) for text in lines)
        while times and len(pixels) >= canvas.size_bytes:
            image = np.frombuffer(bytes(pixels[: canvas.size_bytes]), dtype=np.uint8)
            del pixels[: canvas.size_bytes]
            yield times.popleft(), image.reshape(canvas.height, canvas.width, 3)


def _seconds(line: bytes) -> float:
    time, time_base = line.split()
    return max(0.0, float(int(time) * Fraction(time_base.decode("ascii"))))


def _batch(held: list[tuple[float, RgbImage]], canvas: Canvas) -> SampledFrames:
    frames = np.stack([image[:FRAME_SIDE, :FRAME_SIDE] for _, image in held])
    pictures = [_jpeg(image[FRAME_SIDE:, : canvas.picture_width]) for _, image in held]
    return SampledFrames(np.array([time_s for time_s, _ in held]), frames, pictures)


def _jpeg(image: RgbImage) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
