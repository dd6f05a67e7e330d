"""The tree as a newcomer meets it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGET = re.compile(r"^([a-z][a-z0-9-]*):(.*)$", re.M)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])


def test_make_help_explains_every_target() -> None:
    targets = dict(TARGET.findall((ROOT / "Makefile").read_text()))
    assert len(targets) > 10
    assert [name for name, rest in targets.items() if "## " not in rest] == []
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(targets) <= {line.split()[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("file", [*sorted((ROOT / "requirements").glob("*.txt"))], ids=lambda p: p.name)
def test_requirements_are_pinned_by_hash_and_name_no_registry(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith(("-i", "--index", "--find"))]
    pins = [i for i, line in enumerate(lines) if re.match(r"[a-z0-9]", line)]
    assert pins
    assert [lines[i] for i in pins if "==" not in lines[i] or "--hash=" not in lines[i + 1]] == []
