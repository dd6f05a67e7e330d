"""The image of API and workers, built and run by podman: any user id, read-only root, no capability."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chart.charts import ROOT
from tests.servers import free_port, wait_until

BASE, IMAGE = "localhost/vidrec-base", "localhost/vidrec:test"
MOST_MB = 900
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SETTINGS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"""


def podman(*arguments: str, settings: Path | None = None, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    given = {"CONTAINERS_CONF": str(settings)} if settings else {}
    return subprocess.run(
        ["podman", *arguments],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def lacks() -> str:
    """Why it cannot be run here; empty where it can."""
    if not shutil.which("podman") or not shutil.which("runc"):
        return "podman and runc are not here"
    if podman("image", "exists", BASE).returncode:
        return f"there is no image {BASE}: images/base.sh makes it (mmdebstrap, root)"
    return ""


pytestmark = [pytest.mark.full, pytest.mark.timeout(900), pytest.mark.skipif(bool(lacks()), reason=lacks() or "-")]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("podman") / "containers.conf"
    file.write_text(SETTINGS)
    return file


@pytest.fixture(scope="module")
def image(settings: Path) -> Iterator[str]:
    certificates = [f"--env={name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
    built = podman(
        *("build", "--isolation", "chroot", "--network", "host", *certificates),
        *("--build-arg", f"PYTHON={BASE}", "--tag", IMAGE, str(ROOT)),
        settings=settings,
        timeout_s=600,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    yield IMAGE
    podman("image", "rm", "--force", IMAGE)


def test_it_is_small(image: str) -> None:
    """Over its base, which stands for one of 130 MB (python:3.13-slim)."""
    own, base = (int(podman("image", "inspect", "--format", "{{.Size}}", i).stdout) for i in (image, BASE))
    assert (own - base) / 1e6 + 130 < MOST_MB


@pytest.mark.parametrize("user", ["10001:0", "54321:0"])
def test_it_answers_as_any_user(image: str, settings: Path, user: str) -> None:
    port, name = free_port(), f"vidrec-test-{time.monotonic_ns()}"
    confined = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--tmpfs=/tmp:rw,mode=1777")
    started = podman(
        *("run", "--detach", "--rm", "--name", name, "--network", "host", "--user", user, *confined),
        *(image, "api", "--host", "127.0.0.1", "--port", str(port)),
        settings=settings,
    )
    assert started.returncode == 0, started.stderr
    try:

        def ready() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).is_success
            except httpx.TransportError:
                return False

        wait_until(ready, timeout_s=60)
        inside = podman(
            "exec", name, "sh", "-c", "id -u; touch /x; cat /proc/1/status; command -v gcc cc", settings=settings
        )
        assert inside.stdout.startswith(user.split(":")[0])
        assert "Read-only file system" in inside.stderr
        assert "CapEff:\t0000000000000000" in inside.stdout
        assert "/gcc" not in inside.stdout
    finally:
        podman("stop", "--time", "20", name, settings=settings)
