"""Uploaded pictures, read by Pillow into what the encoder takes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Frames

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Pillow has decoders of many more formats, which are less exposed to hostile files: they are not reachable."""
FRAME_SIDE = 224
MAX_BYTES = 64 << 20
MAX_PIXELS = 50_000_000


def read_picture(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Frames:
    """One frame as sampled videos give it: turned as its EXIF says, the middle square of it, scaled to 224 x 224.

    Answers shape (1, 224, 224, 3), uint8 RGB; of a moving picture the first frame, transparency left out. InvalidInput
    for `file` where the bytes are no picture, are cut short, or exceed a limit; the size is known before any pixel is
    decoded.
    """
    if len(data) > max_bytes:
        raise _refused(f"has {len(data):,} bytes, more than the {max_bytes:,} that are taken")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _frame(image, max_pixels)
    except InvalidInput:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(f"has more than the {max_pixels:,} pixels that are taken") from error
    except UnidentifiedImageError as error:
        raise _refused("is not a picture: JPEG, PNG, WebP and GIF are taken") from error
    except Exception as error:  # decoders of hostile bytes raise whatever they stumble over
        raise _refused("is a picture that cannot be decoded: it is damaged or cut short") from error


def _frame(image: Image.Image, max_pixels: int) -> Frames:
    width, height = image.size
    if width * height > max_pixels:
        raise _refused(f"has {width} x {height} pixels, more than the {max_pixels:,} that are taken")
    image.draft("RGB", (2 * FRAME_SIDE, 2 * FRAME_SIDE))  # a large JPEG is decoded at a fraction of its size
    upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGB")
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = upright.crop((left, top, left + side, top + side)).resize(
        (FRAME_SIDE, FRAME_SIDE), Image.Resampling.BILINEAR
    )
    return np.asarray(square)[np.newaxis]


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow cuts 16-bit greys off at 255 where they are to be scaled."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"file {why}", field="file")
