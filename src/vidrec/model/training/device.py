"""Where the network is computed."""

from __future__ import annotations

import torch

from vidrec.domain.errors import InvalidInput


def choose_device(wanted: str, threads: int | None) -> str:
    """`cpu` or `cuda`; `auto` takes a GPU where there is one. Sets torch's threads to a given number. InvalidInput
    where it is another word or there is no GPU."""
    if threads is not None:
        torch.set_num_threads(threads)
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise InvalidInput(f"--device: {wanted}; expected `cpu`, `cuda` or `auto`", field="device")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("--device: no GPU that torch can use is here; take `cpu`", field="device")
    return wanted
