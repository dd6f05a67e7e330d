"""`make images` with an engine that only notes what it is told. Real images are built where an engine is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.charts import ROOT

Build = Callable[..., tuple[subprocess.CompletedProcess[str], list[str]]]
SCRIPT = ROOT / "images" / "build.sh"
ENGINE = '#!/bin/sh\nif [ "$1" != info ]; then echo "$@" >>"$NOTES"; fi\n'
PYTHON = f"""#!/bin/sh
case "$*" in
  "-m bentoml build"*) echo "python $*" >>"$NOTES"; echo __tag__:encoder:abc ;;
  "-m bentoml"*) echo "python $*" >>"$NOTES" ;;
  *) exec {sys.executable} "$@" ;;
esac
"""


@pytest.fixture
def build(tmp_path: Path) -> Build:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("docker", ENGINE), ("python", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    model = tmp_path / "model"
    model.mkdir()
    (model / "manifest.json").write_text("{}")

    def run(**environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        notes = tmp_path / "notes"
        notes.write_text("")
        given = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHON_BIN": str(folder / "python"),
            "NOTES": str(notes),
            "OUT": str(tmp_path / "out"),
            "MODEL": str(model),
        }
        done = subprocess.run(
            [str(SCRIPT)], env={**given, **environment}, capture_output=True, text=True, check=False, timeout=60
        )
        return done, notes.read_text().splitlines()

    return run


def test_both_images_with_model_and_bills(build: Build, tmp_path: Path) -> None:
    done, told = build(REGISTRY="registry.example.com/team", TAG="1.2.3", PUSH="1")
    assert done.returncode == 0, done.stderr
    api, encoder = "registry.example.com/team/vidrec:1.2.3", "registry.example.com/team/vidrec-encoder:1.2.3"
    assert told == [
        f"build --tag {api} --build-arg VERSION=1.2.3 .",
        "python -m bentoml build --bentofile bento/cpu.yaml --output tag .",
        f"python -m bentoml containerize --backend docker --image-tag {encoder}-without-model encoder:abc",
        f"build --tag {encoder} --file images/model.Dockerfile "
        f"--build-arg ENCODER={encoder}-without-model {tmp_path}/out/context",
        f"push {api}",
        f"push {encoder}",
    ]
    assert (tmp_path / "out" / "context" / "model" / "manifest.json").exists()
    for name, has_pandas in (("vidrec", False), ("vidrec-encoder", True)):
        bill = json.loads((tmp_path / "out" / f"{name}.cdx.json").read_text())
        found = {component["name"] for component in bill["components"]}
        assert {"fastapi", "onnxruntime"} <= found
        assert ("pandas" in found) == has_pandas


def test_for_gpus(build: Build) -> None:
    _, told = build(REGISTRY="localhost", GPU="1")
    assert "python -m bentoml build --bentofile bentofile.yaml --output tag ." in told
    assert not [line for line in told if line.startswith("push")]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "image.registry is empty: name the registry that holds your vidrec images"),
        ({"REGISTRY": "https://registry.example.com"}, "write it without http:// or https://"),
        ({"REGISTRY": "localhost", "MODEL": "/nowhere"}, "there is no manifest.json"),
    ],
)
def test_what_is_missing_is_said(build: Build, environment: dict[str, str], sentence: str) -> None:
    done, told = build(**environment)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert told == []


def test_every_pinned_package_is_in_the_bill_with_its_hashes() -> None:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "images" / "sbom.py")
    assert spec
    assert spec.loader
    sbom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sbom)
    text = (ROOT / "requirements" / "run.txt").read_text()
    found = sbom.components(text)
    assert len(found) == sum("==" in line for line in text.splitlines() if line[:1].isalpha())
    assert all(component["hashes"] for component in found)


def test_the_bill_leaves_out_what_the_image_does() -> None:
    [removed] = re.findall(r"uv pip uninstall --python \S+ (.*) \\", (ROOT / "Dockerfile").read_text())
    assert f"requirements/run.txt {removed} >" in SCRIPT.read_text()
