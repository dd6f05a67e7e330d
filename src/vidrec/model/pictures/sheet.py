"""A contact sheet: what the generator makes, for people to look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.program import SIDE, render

GAP = 2


def contact_sheet(
    seed: int, *, rows: int, columns: int, views: int = 2, first: int = 0, side: int = SIDE
) -> npt.NDArray[np.uint8]:
    """Programs from `first` on, row by row, `views` of each side by side; RGB, (height, width, 3)."""
    cell = side * views + GAP
    sheet = np.full((rows * (side + GAP), columns * cell, 3), 255, dtype=np.uint8)
    for number in range(rows * columns):
        top, left = number // columns * (side + GAP), number % columns * cell
        for view in range(views):
            place = slice(left + view * side, left + (view + 1) * side)
            sheet[top : top + side, place] = render(seed, first + number, view, side)
    return sheet
