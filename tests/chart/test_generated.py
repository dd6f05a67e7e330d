"""What is generated is current, and what is written by hand beside it holds."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.chart.charts import CHART, ROOT, needs_helm, run


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("helm_generate", ROOT / "helm" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["helm_generate"] = module
    spec.loader.exec_module(module)
    return module


def test_schema_readme_and_revision_follow_from_the_sources() -> None:
    stale = [str(file) for file, text in generator().generated().items() if file.read_text() != text]
    assert not stale, "run `make chart`"


def test_every_value_is_told_of() -> None:
    rows = generator().table((CHART / "values.yaml").read_text()).splitlines()[2:]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


@needs_helm
def test_the_base_manifests_are_what_the_chart_renders() -> None:
    base = ROOT / "k8s" / "base"
    done = run("template", "vidrec", str(CHART), "--skip-tests", "--values", str(base / "values.yaml"))
    assert (base / "vidrec.yaml").read_text() == done.stdout, "run `make k8s`"
