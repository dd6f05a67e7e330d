"""Makes of the comments in helm/vidrec/values.yaml: values.schema.json and the table in README.md. Also writes into
Chart.yaml which revision of the SQL schema this release needs. `make chart` runs it, a test compares.

A comment that begins with `# --` tells what the value below it is for, over as many lines as it takes; `# @schema {..}`
is JSON that is laid over the schema which follows from the default."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "vidrec"
REVISIONS = ROOT / "src" / "vidrec" / "adapters" / "sql" / "migrations" / "versions"
DEFINITIONS = {
    "count": {"type": "integer", "minimum": 0},
    "positive": {"type": "integer", "minimum": 1},
    "percent": {"type": "integer", "minimum": 1, "maximum": 100},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "disruption": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(100|[1-9]?[0-9])%$"}]},
}
FREE = ("resources", "nodeSelector")
"""Values whose keys are Kubernetes' or the user's, although their default has some."""
COMMON = {
    "resources": "What a pod requests and may use.",
    "nodeSelector": "Labels of the nodes that it may run on.",
    "tolerations": "Taints of nodes that it bears.",
    "priorityClassName": "Name of a PriorityClass; empty: the cluster's default.",
    "podAnnotations": "Annotations of the pods.",
    "minReplicas": "Fewest pods while something scales them.",
    "maxReplicas": "Most pods while something scales them.",
    "maxUnavailable": "How many pods a drain may take at a time, a number or a percentage.",
    "enabled": "Whether there is one.",
    "annotations": "Its annotations.",
}
"""What values mean whose name says it everywhere."""
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_LINE = re.compile(r"^( *)([A-Za-z0-9_.\"/-]+):(?: |$)")


@dataclass
class Comment:
    text: str = ""
    schema: dict[str, Any] = field(default_factory=dict)


def comments(source: str) -> dict[str, Comment]:
    """By the dotted path of the value that they stand above."""
    found: dict[str, Comment] = {}
    above, path = Comment(), list[tuple[int, str]]()
    for line in source.splitlines():
        bare = line.strip()
        if bare.startswith("# @schema "):
            above.schema = json.loads(bare.removeprefix("# @schema "))
        elif bare.startswith("# -- "):
            above.text = bare.removeprefix("# -- ")
        elif bare.startswith("# ") and above.text:
            above.text += " " + bare.removeprefix("# ")
        elif match := _LINE.match(line):
            indent, key = len(match[1]), match[2]
            path = [*((i, k) for i, k in path if i < indent), (indent, key)]
            found[".".join(k for _, k in path)] = above
            above = Comment()
        else:
            above = Comment()
    return found


def schema_of(value: Any, path: str, said: dict[str, Comment]) -> dict[str, Any]:
    """What the default allows, with what its comment says on top."""
    comment = said.get(path, Comment())
    if "$ref" in comment.schema or "enum" in comment.schema:
        made: dict[str, Any] = {}
    else:
        made = {"type": _TYPES[type(value)]}
    name = path.rpartition(".")[2]
    if isinstance(value, dict) and value and name not in FREE and not name.lower().endswith(("annotations", "labels")):
        made["additionalProperties"] = False
        made["properties"] = {k: schema_of(v, f"{path}.{k}", said) for k, v in value.items()}
    made |= comment.schema
    if text := comment.text or COMMON.get(name):
        made["description"] = text
    return made


def schema(source: str) -> str:
    """values.schema.json."""
    said, values = comments(source), yaml.safe_load(source)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart vidrec",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: schema_of(value, name, said) for name, value in values.items()},
        "$defs": DEFINITIONS,
    }
    return json.dumps(whole, indent=2) + "\n"


def table(source: str) -> str:
    """Every value that is not itself a group, in the order of the file."""
    said = comments(source)
    rows = ["| value | default | meaning |", "|---|---|---|"]

    def walk(value: Any, path: str) -> None:
        comment = said.get(path, Comment())
        if isinstance(value, dict) and value and not comment.text and path.rpartition(".")[2] not in FREE:
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else name)
            return
        meaning = comment.text or COMMON.get(path.rpartition(".")[2], "")
        rows.append(f"| `{path}` | `{json.dumps(value, ensure_ascii=False)}` | {meaning.replace('|', chr(92) + '|')} |")

    walk(yaml.safe_load(source), "")
    return "\n".join(rows) + "\n"


def head_of_schema() -> str:
    """Revision of the last migration: the one that no other comes after."""
    revised, before = set(), set()
    for file in REVISIONS.glob("[0-9]*.py"):
        text = file.read_text()
        revised.update(re.findall(r'^revision(?:: str)? = "(\w+)"', text, re.M))
        before.update(re.findall(r'^down_revision(?:: [^=]+)? = "(\w+)"', text, re.M))
    [last] = revised - before
    return str(last)


def generated() -> dict[Path, str]:
    """Every generated file with what should be in it."""
    source = (CHART / "values.yaml").read_text()
    chart = (CHART / "Chart.yaml").read_text()
    return {
        CHART / "values.schema.json": schema(source),
        CHART / "README.md": (ROOT / "helm" / "README.in.md").read_text().replace("<!-- values -->\n", table(source)),
        CHART / "Chart.yaml": re.sub(r"(?m)^( *vidrec/schema: ).*$", rf'\g<1>"{head_of_schema()}"', chart),
    }


if __name__ == "__main__":
    for file, text in generated().items():
        file.write_text(text)
