"""Reading uploaded pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import ffmpeg
from vidrec.adapters.ffmpeg import FfmpegFrameSource
from vidrec.adapters.picture import read_picture
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import TimeRange

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 40), (20, 40, 210)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int, height: int, seed: int = 3) -> Image.Image:
    """A smooth picture in which no two places look alike."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (5, 7, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def halves(width: int, height: int, left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_every_format_gives_one_frame(kind: str) -> None:
    frame = read_picture(encoded(Image.new("RGB", (320, 180), GREEN), kind))
    assert frame.shape == (1, 224, 224, 3)
    assert frame.dtype == np.uint8
    assert np.abs(frame[0].astype(int) - GREEN).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_is_read(mode: str) -> None:
    deep = Image.fromarray(np.full((64, 64), 0x8000, dtype=np.uint16))
    image = deep if mode == deep.mode else Image.new("L", (64, 64), 255).convert(mode)
    frame = read_picture(encoded(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert np.abs(frame.astype(int) - (128 if mode == "I;16" else 255)).max() <= 2


@pytest.mark.parametrize(("width", "height"), [(600, 200), (200, 600), (201, 600), (1, 900), (900, 1), (1, 1)])
def test_the_middle_square_is_taken(width: int, height: int) -> None:
    image = Image.new("RGB", (width, height), RED)
    side = min(width, height)
    image.paste(BLUE, ((width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2))
    frame = read_picture(encoded(image, "PNG"))[0].astype(int)
    assert np.abs(frame[20:-20, 20:-20] - BLUE).max() <= 2


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    frame = read_picture(encoded(halves(300, 300, RED, BLUE), "JPEG", exif=exif, quality=95))[0].astype(int)
    assert np.abs(frame[:90] - RED).mean() < 5
    assert np.abs(frame[-90:] - BLUE).mean() < 5


def test_a_moving_picture_gives_its_first_frame() -> None:
    later = [Image.new("RGB", (50, 50), BLUE)]
    data = encoded(Image.new("RGB", (50, 50), RED), "GIF", save_all=True, append_images=later)
    assert np.abs(read_picture(data).astype(int) - RED).max() <= 6


def test_a_picture_and_a_video_of_one_scene_give_one_frame(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    scene(1280, 720).save(still)
    clip = tmp_path / "clip.mkv"
    ffmpeg("-loop", "1", "-i", still, "-t", "2", "-r", "5", "-c:v", "ffv1", "-pix_fmt", "gbrp", clip)
    source = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=2 << 30, max_pixels=8192 * 4320)
    info = source.probe(clip)
    sampled = next(iter(source.sample(clip, info, TimeRange(0, info.duration_s), batch=4))).frames[0]
    picture = read_picture(still.read_bytes())[0]
    assert np.abs(picture.astype(int) - sampled.astype(int)).mean() < 1


def test_a_large_photo_looks_the_same_as_a_small_one() -> None:
    large, small = (read_picture(encoded(scene(w, w * 2 // 3), "JPEG", quality=95)) for w in (4800, 480))
    assert np.abs(large.astype(int) - small.astype(int)).mean() < 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"not a picture at all",
        b"\xff\xd8\xff" + bytes(1000),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        encoded(scene(300, 200), "JPEG")[:2000],
        encoded(scene(300, 200), "PNG")[:4000],
        encoded(scene(300, 200), "WEBP")[:600],
        encoded(scene(30, 20), "TIFF"),
        encoded(scene(30, 20), "BMP"),
    ],
    ids=["nothing", "gif-head", "text", "jpeg-head", "eps", "cut-jpeg", "cut-png", "cut-webp", "tiff", "bmp"],
)
def test_anything_else_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^file is ") as caught:
        read_picture(data)
    assert caught.value.field == "file"
    assert "\n" not in str(caught.value)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"file has [0-9,]+ bytes, more than the 100 that are taken"):
        read_picture(encoded(scene(300, 200), "PNG"), max_bytes=100)


@pytest.mark.parametrize("side", [8_000, 12_000, 65_000])
def test_a_picture_that_would_unfold_to_gigabytes_is_refused_unread(side: int) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    with pytest.raises(InvalidInput, match="pixels") as caught:
        read_picture(bomb)
    assert caught.value.field == "file"


def test_the_limit_of_pixels_is_exact() -> None:
    data = encoded(scene(100, 100), "PNG")
    assert read_picture(data, max_pixels=10_000).shape == (1, 224, 224, 3)
    with pytest.raises(InvalidInput, match="100 x 100 pixels"):
        read_picture(data, max_pixels=9_999)
