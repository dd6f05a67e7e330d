"""An encoder in this process: mean colours of a 4 x 4 grid, L2-normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vidrec.domain.embedding import normalise
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch, Overloaded
from vidrec.domain.models import Embeddings, Frames

GRID = 4
DIMENSION = GRID * GRID * 3


class FakeEncoder:
    """Implements the Encoder port. `available` and `overloaded` are switches; `others` are further model
    versions that it serves, in the same way; `batches` lists the sizes asked for."""

    def __init__(self, model_version: str = "mtest00000000") -> None:
        self.model_version = model_version
        self.available = True
        self.overloaded = False
        self.others: set[str] = set()
        self.batches: list[int] = []

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        self._check()
        if not self.serves(model_version):
            raise ModelVersionMismatch(f"this encoder holds model version {self.model_version}, not {model_version}")
        if self.overloaded:
            raise Overloaded("the encoder is full: switched on by the test", retry_after_s=0.01)
        self.batches.append(len(frames))
        n, height, width, _ = frames.shape
        cells = frames.reshape(n, GRID, height // GRID, GRID, width // GRID, 3).mean(axis=(2, 4))
        return normalise(cells.reshape(n, DIMENSION).astype(np.float32) - 127.0)

    def serves(self, model_version: str) -> bool:
        self._check()
        return model_version in (self.model_version, *self.others)

    def describe(self) -> Mapping[str, Any]:
        self._check()
        return {"model_version": self.model_version, "dimension": DIMENSION, "provider": "cpu", "ready": True}

    def _check(self) -> None:
        if not self.available:
            raise EncoderUnavailable("the encoder does not answer: switched off by the test", retry_after_s=0.01)
