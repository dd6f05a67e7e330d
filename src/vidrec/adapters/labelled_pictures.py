"""Pictures in folders that are their labels, as encoders take them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrec.adapters.picture import read_picture
from vidrec.domain.errors import InvalidInput
from vidrec.domain.halves import Half, labels_left_out
from vidrec.domain.models import Frames

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
FEWEST_LABELS, FEWEST_PICTURES = 2, 2


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Frames (n, 224, 224, 3) with the name of the folder of each, by label and file name."""

    frames: Frames
    labels: tuple[str, ...]
    unreadable: tuple[str, ...]
    """Sentences about files that are no whole pictures; they are left out."""


def read_labelled_pictures(folder: Path, *, field: str, half: Half = Half.ALL) -> LabelledPictures:
    """Reads `<folder>/<label>/**` for the labels of the half. InvalidInput for `field` where it is no
    folder or cannot be read, or where fewer than two labels have two pictures each."""
    try:
        labels = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        files = {label: _pictures(folder / label) for label in labels if label not in labels_left_out(labels, half)}
    except OSError as error:
        raise InvalidInput(f"{folder}: cannot be read ({error.strerror}); expected a folder", field=field) from None
    frames, names, unreadable = [], [], []
    for label, paths in files.items():
        for path in paths:
            try:
                frames.append(read_picture(path.read_bytes()))
                names.append(label)
            except (InvalidInput, OSError) as error:
                unreadable.append(f"{path}: {error}")
    enough = [label for label in set(names) if names.count(label) >= FEWEST_PICTURES]
    if len(enough) < FEWEST_LABELS:
        raise InvalidInput(
            f"{folder}: {len(enough)} folders hold two pictures or more; expected at least {FEWEST_LABELS} folders, "
            "named by what their pictures show",
            field=field,
        )
    return LabelledPictures(np.concatenate(frames), tuple(names), tuple(unreadable))


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
