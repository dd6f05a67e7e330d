"""Checkpoints: one folder each, named by its step, in parts that any store takes; whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vidrec.domain.errors import InvalidInput

PART_BYTES = 15 * 1024 * 1024
INDEX_FILE = "checkpoint.json"
UNFINISHED = ".new-"
KEPT = 2
"""Checkpoints that are left in a folder, the newest ones."""


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Writes the state to `<folder>/step-NNNNNNNN`, keeps only the last two checkpoints, answers the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    target = folder / f"step-{step:08d}"
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as scratch:
        made = Path(scratch) / "checkpoint"
        made.mkdir()
        parts = []
        for number, start in enumerate(range(0, len(content), PART_BYTES)):
            part = content[start : start + PART_BYTES]
            name = f"part-{number:03d}"
            _write(made / name, part)
            parts.append({"name": name, "sha256": hashlib.sha256(part).hexdigest()})
        _write(made / INDEX_FILE, json.dumps({"step": step, "parts": parts}, indent=1).encode())
        if target.exists():
            shutil.rmtree(target)
        os.replace(made, target)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Folders of the checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / INDEX_FILE).is_file())


def load_latest(folder: Path) -> Mapping[str, Any] | None:
    """The state of the newest checkpoint; None where there is none. InvalidInput where it is damaged."""
    found = checkpoints(folder)
    return load(found[-1]) if found else None


def load(path: Path) -> Mapping[str, Any]:
    """The state of a checkpoint, on the CPU. InvalidInput where it is damaged."""
    buffer = io.BytesIO()
    try:
        for part in json.loads((path / INDEX_FILE).read_bytes())["parts"]:
            content = (path / part["name"]).read_bytes()
            if hashlib.sha256(content).hexdigest() != part["sha256"]:
                raise _damaged(path, f"{part['name']} is not what was written")
            buffer.write(content)
        buffer.seek(0)
        state: Mapping[str, Any] = torch.load(buffer, map_location="cpu", weights_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from None
    return state


def _damaged(path: Path, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{path}: a damaged checkpoint ({reason}); remove that folder to go on from the one before it", field="out"
    )


def _write(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
