"""What `helm test` runs in a pod, against a running system that asks for keys."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systems import RunningSystem, get, keyed_api

SCRIPT = Path(__file__).resolve().parents[2] / "helm" / "vidrec" / "files" / "upload_then_recommend.py"

pytestmark = pytest.mark.full


def test_it_uploads_asks_and_leaves_nothing(demo: RunningSystem) -> None:
    before = get(f"{demo.url}/videos").json()["items"]
    with keyed_api(demo) as address:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "VIDREC_DATA_DIR": str(demo.data),
            "ADDRESS": address,
            "AUTH": "keys",
            "TIMEOUT_S": "120",
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.read_text()],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr
    assert " recommended" in done.stdout
    assert get(f"{demo.url}/videos").json()["items"] == before
    keys = demo.cli("keys", "list").stdout
    assert "helm test" in keys
    assert "revoked" in keys
