"""What is done to each picture of a batch: crop, flip, turn, colours, blur. On tensors: a GPU does it too."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vidrec.model.graph import MEAN, STD

LEAST_AREA = 0.25
ASPECT, TURN = 0.28, 0.17
"""Logarithm of the aspect ratio, and radians, to either side."""
BRIGHTNESS = CONTRAST = SATURATION = 0.4
HUE = 0.1
COLOURED, GREY, BLURRED = 0.8, 0.16, 0.4
"""Shares of pictures."""
LUMA = (0.299, 0.587, 0.114)


def augment(pictures: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """uint8 (n, side, side, 3) -> (n, 3, crop, crop) float32, normalised as the encoder's graph does it. Random numbers
    come from `generator` (of the CPU, whatever the device), so that they can be drawn again."""
    draw = _Draw(len(pictures), pictures.device, generator)
    x = pictures.permute(0, 3, 1, 2).float() / 255
    x = _cropped(x, crop, draw)
    x = _recoloured(x, draw)
    x = _blurred(x, draw).clamp(0, 1)
    mean, std = (torch.tensor(v, dtype=x.dtype, device=x.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


class _Draw:
    """Random numbers, one for each picture."""

    def __init__(self, count: int, device: torch.device, generator: torch.Generator) -> None:
        self._count, self._device, self._generator = count, device, generator

    def uniform(self, low: float, high: float) -> Tensor:
        return (torch.rand(self._count, generator=self._generator) * (high - low) + low).to(self._device)

    def chance(self, share: float) -> Tensor:
        return (torch.rand(self._count, generator=self._generator) < share).to(self._device)


def _cropped(x: Tensor, crop: int, draw: _Draw) -> Tensor:
    """A rectangle of a quarter of the area to all of it, perhaps mirrored and a little turned."""
    side = draw.uniform(LEAST_AREA, 1).sqrt()
    aspect = draw.uniform(-ASPECT, ASPECT).exp()
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    dx, dy = draw.uniform(-1, 1) * (1 - width), draw.uniform(-1, 1) * (1 - height)
    mirror, turn = torch.where(draw.chance(0.5), -1.0, 1.0), draw.uniform(-TURN, TURN)
    c, s = turn.cos(), turn.sin()
    rows = [torch.stack([width * mirror * c, -height * s, dx], 1), torch.stack([width * mirror * s, height * c, dy], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(x), 3, crop, crop], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _recoloured(x: Tensor, draw: _Draw) -> Tensor:
    """Brightness, contrast, saturation and hue as one colour matrix and shift a picture; some become grey."""
    on = draw.chance(COLOURED).float()
    brightness, contrast, saturation = (
        1 + draw.uniform(-span, span) * on for span in (BRIGHTNESS, CONTRAST, SATURATION)
    )
    saturation = torch.where(draw.chance(GREY), torch.zeros_like(saturation), saturation)
    matrix = _hue_matrix(draw.uniform(-HUE, HUE) * (2 * math.pi) * on)
    luma = torch.tensor(LUMA, dtype=x.dtype, device=x.device).expand(3, 3)
    identity = torch.eye(3, dtype=x.dtype, device=x.device)
    to_grey = saturation.view(-1, 1, 1) * identity + (1 - saturation).view(-1, 1, 1) * luma
    matrix = torch.bmm(matrix, to_grey) * (brightness * contrast).view(-1, 1, 1)
    level = x.mean((1, 2, 3)) * brightness * (1 - contrast)
    shape = x.shape
    return (torch.bmm(matrix, x.flatten(2)) + level.view(-1, 1, 1)).view(shape)


def _hue_matrix(angle: Tensor) -> Tensor:
    """(n, 3, 3): turns colours about the grey axis."""
    c, s = angle.cos(), angle.sin() / math.sqrt(3)
    same, after, before = c + (1 - c) / 3, (1 - c) / 3 - s, (1 - c) / 3 + s
    rows = [(same, after, before), (before, same, after), (after, before, same)]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def _blurred(x: Tensor, draw: _Draw) -> Tensor:
    """A share of the pictures softened once or twice by a 5 x 5 binomial kernel."""
    chosen, twice = draw.chance(BLURRED), draw.chance(0.5)
    if not bool(chosen.any()):
        return x
    line = torch.tensor([1.0, 4, 6, 4, 1], dtype=x.dtype, device=x.device) / 16
    kernel = (line[:, None] * line).expand(3, 1, 5, 5)

    def soften(y: Tensor) -> Tensor:
        return F.conv2d(F.pad(y, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)

    part = soften(x[chosen])
    again = twice[chosen]
    if bool(again.any()):
        part[again] = soften(part[again])
    x[chosen] = part
    return x
