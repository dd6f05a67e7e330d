"""Bill of materials of an image (CycloneDX 1.6, JSON on stdout): the Python packages that a file of hashed requirements
installs, but those that are left out: `python images/sbom.py NAME VERSION requirements/run.txt [LEFT_OUT ...]`. What
the base image holds is its publisher's to tell."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(requirements: str) -> list[dict[str, Any]]:
    """One for each pinned package, in order; the hashes are of all files that it may be installed from."""
    found: list[dict[str, Any]] = []
    for line in requirements.splitlines():
        if match := _PINNED.match(line):
            name, version = match[1], match[2]
            purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
            found.append(
                {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": []}
            )
        if found:
            found[-1]["hashes"] += [{"alg": "SHA-256", "content": digest} for digest in _HASH.findall(line)]
    return found


def bill(name: str, version: str, requirements: str, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """The whole document; the same input gives the same bytes."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [component for component in components(requirements) if component["name"] not in left_out],
    }


if __name__ == "__main__":
    _, image, tag, file, *left_out = sys.argv
    json.dump(bill(image, tag, Path(file).read_text(), left_out), sys.stdout, indent=2)
    sys.stdout.write("\n")
