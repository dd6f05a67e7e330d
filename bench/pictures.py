"""How fast pictures are generated, on one core.

python -m bench.pictures
"""

from __future__ import annotations

import statistics
import time

import cv2

from bench import report
from vidrec.model.pictures import render

SIDES = (64, 96, 112, 224)
PROGRAMS, ROUNDS = 100, 3
ACCEPT, AIM = 300, 450
"""Pictures a second at 96 pixels."""


def per_second(side: int, programs: int = PROGRAMS, rounds: int = ROUNDS) -> float:
    """Pictures in a second of CPU time: two views of each program, median of the rounds."""
    render(0, 0, 0, side)
    rates = []
    for number in range(rounds):
        began = time.process_time()
        for program in range(number * programs, (number + 1) * programs):
            for view in (0, 1):
                render(0, program, view, side)
        rates.append(2 * programs / (time.process_time() - began))
    return statistics.median(rates)


def main() -> None:
    """Measures every side and writes the section."""
    cv2.setNumThreads(1)
    found = {side: per_second(side) for side in SIDES}
    rows = [(f"{side} x {side}", f"{rate:.0f}") for side, rate in found.items()]
    report.write(
        "pictures",
        "## Generated pictures\n\nPictures a second of one core's time, two views of each program.\n\n"
        + report.table(("side", "pictures/s"), rows)
        + f"\n\nAt 96 x 96: {report.verdict(found[96], ACCEPT, AIM)}.",
    )


if __name__ == "__main__":
    main()
