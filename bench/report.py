"""docs/benchmarks.md: one section a benchmark, replaced when it runs again."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`; each section replaces itself. Figures that are compared were taken in turns in one run on one
machine, client and server on the same cores: trust the ratios, not the absolute figures.
"""


def write(section: str, markdown: str) -> None:
    """Replaces the section's text (or appends it) and prints it."""
    text = PAGE.read_text() if PAGE.exists() else HEAD
    begin, end = f"<!-- section:{section} -->", f"<!-- /section:{section} -->"
    block = f"{begin}\n{markdown.strip()}\n\n{machine()}\n{end}"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = pattern.sub(lambda _: block, text) if pattern.search(text) else f"{text.rstrip()}\n\n{block}\n"
    PAGE.write_text(text)
    print(markdown.strip(), "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def verdict(ratio: float, accept: float, aim: float, *, lower_is_better: bool = False) -> str:
    """`0.93 (accept 0.9, aim 0.97: accepted)`."""

    def reached(target: float) -> bool:
        return ratio <= target if lower_is_better else ratio >= target

    word = "aim reached" if reached(aim) else "accepted" if reached(accept) else "NOT accepted"
    return f"**{ratio:.2f}** (accept {accept:g}, aim {aim:g}: {word})"


def machine() -> str:
    """One line: what it was measured on, and when."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    packages = []
    for name in ("bentoml", "onnxruntime", "onnxruntime-gpu", "pymilvus", "milvus-lite"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cpus = len(os.sched_getaffinity(0))
    processor = model.group(1).strip() if model else platform.machine()
    return (
        f"*{datetime.now(UTC):%Y-%m-%d}, {cpus} cores ({processor}), Python {platform.python_version()}, "
        f"{', '.join(packages)}*"
    )
