"""k8s/overlays: what they name is there in the base. Whether kustomize makes them and a server takes them is asked
where kubectl or kustomize is, and by the tests on a real control plane."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.charts import ROOT, containers, environment, of_kind, pods, templates

K8S = ROOT / "k8s"
OVERLAYS = ("dev", "gpu", "production")


def builder() -> list[str] | None:
    """kustomize, by itself or within kubectl."""
    built = str(ROOT / "build" / "tools" / "bin")
    for program, rest in (("kustomize", ["build"]), ("kubectl", ["kustomize"])):
        if found := shutil.which(program) or shutil.which(program, path=built):
            return [found, *rest]
    return None


def loaded(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_that_is_named_is_there(name: str) -> None:
    folder = K8S / "overlays" / name
    [kustomization] = loaded(folder / "kustomization.yaml")
    names = (
        kustomization["resources"]
        + kustomization.get("components", [])
        + [patch["path"] for patch in kustomization.get("patches", ())]
    )
    assert [n for n in names if not (folder / n).exists()] == []
    assert {f.name for f in folder.iterdir()} == {n for n in names if "/" not in n} | {"kustomization.yaml"}


@pytest.mark.skipif(builder() is None, reason="neither kustomize nor kubectl is here")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_makes_it(name: str) -> None:
    done = subprocess.run(
        [*(builder() or ()), str(K8S / "overlays" / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    own = [o for o in objects if o["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "vidrec"]
    for _, template in templates(own):
        for container in containers(template["spec"]):
            assert len(environment(container)) == len(container["env"]), "a variable is there twice"
    api = environment(pods(own)["api"]["containers"][0])
    encoder = pods(own)["encoder"]["containers"][0]
    if name == "dev":
        assert (api["VIDREC_AUTH"], api["VIDREC_S3_PUBLIC_ENDPOINT"]) == ("off", "http://127.0.0.1:9000")
        assert set(of_kind(objects, "StatefulSet")) == {"milvus", "postgres", "s3"}
        assert set(of_kind(objects, "Secret")) == {"vidrec-database", "vidrec-signing", "vidrec-s3"}
    else:
        assert api["VIDREC_MILVUS_URI"] == "http://milvus.example.com:19530"
        assert environment(pods(own)["sweep"]["containers"][0])["VIDREC_S3_ENDPOINT"] == "https://s3.example.com"
        assert environment(encoder)["VIDREC_ENCODER_PROVIDER"] == "cuda"
        assert encoder["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert encoder["image"].startswith("registry.example.com/team/vidrec-encoder:")
    if name == "production":
        assert "replicas" not in of_kind(objects, "Deployment")["vidrec-api"]["spec"]
        assert of_kind(objects, "Deployment")["vidrec-worker"]["spec"]["replicas"] == 4
