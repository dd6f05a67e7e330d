"""What the Dockerfile promises. The image itself is built and run where podman and a base are."""

from __future__ import annotations

import re

from tests.chart.charts import CHART, ROOT

LINES = (ROOT / "Dockerfile").read_text().splitlines()
STAGES = "\n".join(LINES).split("\nFROM ")[1:]


def test_the_base_can_be_pinned_by_digest() -> None:
    assert [stage.split()[0] for stage in STAGES] == ["${PYTHON}", "${PYTHON}"]
    assert any(re.match(r"ARG PYTHON=\S+-slim$", line) for line in LINES)


def test_the_last_stage_installs_nothing_and_is_not_root() -> None:
    last = STAGES[-1].splitlines()
    assert not any(line.startswith("RUN ") for line in last)
    [user] = [line.split()[1] for line in last if line.startswith("USER ")]
    assert int(user.split(":")[0]) > 0  # by number: Kubernetes cannot look up a name
    assert user.split(":")[1] == "0"  # so that any user id may write to /data


def test_no_torch_and_no_compiler() -> None:
    installed = (ROOT / "requirements" / "run.txt").read_text()
    assert not re.search(r"^(torch|torchvision|triton|nvidia-c)", installed, re.M)
    assert not re.search(r"apt-get|build-essential|gcc", "\n".join(LINES))


def test_everything_is_installed_by_hash() -> None:
    for line in LINES:
        if "pip sync" in line or "pip install --no-cache-dir" in line:
            assert "--require-hashes" in line


def test_the_pods_of_the_chart_write_where_the_image_lets_them() -> None:
    mounts = (CHART / "templates" / "_pod.tpl").read_text()
    for folder in ("/tmp", "/data"):
        assert f"mountPath: {folder} " in mounts
