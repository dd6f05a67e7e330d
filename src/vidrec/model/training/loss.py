"""Alignment and uniformity on the sphere (Wang and Isola 2020, arXiv:2005.10242)."""

from __future__ import annotations

import torch
from torch import Tensor

SHARPNESS = 2.0


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared distance of positives; rows of length 1."""
    return (a - b).pow(2).sum(1).mean()


def uniformity(x: Tensor) -> Tensor:
    """Logarithm of the mean potential of all pairs: the lower, the more evenly the rows are spread."""
    return torch.pdist(x).pow(2).mul(-SHARPNESS).exp().mean().log()
