"""The weights that torchvision publishes, as files that anybody can download. Each name ends with the first digits of
the file's SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidrec.domain.errors import InvalidModel

BASE_URL = "https://download.pytorch.org/models/"
FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-11ad3fa6.pth",
    "resnet101": "resnet101-cd907fc2.pth",
    "resnet152": "resnet152-f82ba261.pth",
}
"""The best ones of each depth: IMAGENET1K_V2 where there are such, else V1."""
BETTER_WEIGHTS = "vidrec model fetch resnet50 --int8"
"""The one command to them, named wherever something lesser is in use."""


def check_published(path: Path) -> None:
    """InvalidModel where a file is not the one that its name promises."""
    expected = path.stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected):
        raise InvalidModel(
            f"{path.name}: its SHA-256 begins with {found[: len(expected)]}, expected {expected}: another file, or "
            "damaged on the way",
            field="weights",
        )
