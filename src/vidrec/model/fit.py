"""Fitting a readout: on generated pictures, or on frames that somebody has."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Frames
from vidrec.model.graph import SIDE, Weights, build_stages, statistics_sizes
from vidrec.model.readout import Readout, fit_readout
from vidrec.model.session import run_model

DIMENSION = 512
FEWEST_FRAMES = 64
GENERATED, GENERATED_SEED = 1200, 1
"""Pictures that a readout is fitted on where there are no others; another seed than that of the training."""


def readout_of(arch: str, weights: Weights, frames: Frames, *, dimension: int = DIMENSION) -> Readout:
    """The readout of a network whose statistics over these frames become white. InvalidInput for too few frames, or
    for more dimensions than the network has statistics."""
    check_dimension(arch, dimension)
    if len(frames) < FEWEST_FRAMES:
        raise InvalidInput(
            f"a readout cannot be fitted on {len(frames)} pictures; expected at least {FEWEST_FRAMES}", field="fit"
        )
    found = run_model(build_stages(arch, weights), frames)
    return fit_readout(np.split(found, np.cumsum(statistics_sizes(arch))[:-1], axis=1), dimension)


def check_dimension(arch: str, dimension: int) -> None:
    """InvalidInput where a network has fewer statistics than that."""
    most = sum(statistics_sizes(arch))
    if not 1 < dimension <= most:
        raise InvalidInput(f"--dimension: {dimension}; expected 2 to {most} for {arch}", field="dimension")


def fitting_pictures(count: int = GENERATED) -> Frames:
    """Generated pictures (count, 224, 224, 3). InvalidInput where OpenCV, which draws them, is not installed."""
    if find_spec("cv2") is None:
        raise InvalidInput(
            "fitting a readout on generated pictures needs OpenCV, which `make train-env` installs: take "
            "`.venv-train/bin/vidrec model export ...`, or name a folder of pictures by --fit",
            field="fit",
        )
    from vidrec.model.pictures import render

    return np.stack([render(GENERATED_SEED, number, 0, side=SIDE) for number in range(count)])
