"""The commands that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def commands(page: str) -> list[str]:
    """Every command of the page's `sh` blocks, in order; continued lines are joined."""
    blocks = _BLOCK.findall((ROOT / page).read_text())
    return [line for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines() if line.strip()]
