"""`vidrec settings`"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from vidrec.cli.console import emit_json
from vidrec.settings import ENV_PREFIX, Settings, load_settings

_SECRET = frozenset({"milvus_token", "database_url", "secret", "notification_token"})


def command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    markdown: Annotated[bool, typer.Option(help="The table of docs/settings.md, with defaults.")] = False,
) -> None:
    """Show every setting with its present value; secrets are masked."""
    if markdown:
        typer.echo(reference(), nl=False)
        return
    settings = load_settings()
    values = {name: _shown(name, value) for name, value in settings.model_dump(mode="json").items()}
    if as_json:
        emit_json(values)
        return
    from rich.console import Console

    table = Table("variable", "value", "meaning")
    for name, value in values.items():
        table.add_row(f"{ENV_PREFIX}{name.upper()}", str(value), Settings.model_fields[name].description or "")
    Console().print(table)


def reference() -> str:
    """docs/settings.md: every setting with default and meaning, generated so that it is never out of date."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read once at the start of each process. An unknown `VIDREC_` variable is an error, so",
        "a misspelt one is not silently ignored. `vidrec settings` shows the present values. This page is generated:",
        "`vidrec settings --markdown > docs/settings.md`. The encoder's own settings are in",
        "`src/vidrec/encoder_settings.py`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    defaults = Settings.model_construct().model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        default = defaults[name]
        default = json.dumps(default) if isinstance(default, list | tuple | bool) else default
        lines.append(
            f"| `{ENV_PREFIX}{name.upper()}` | `{default if default != '' else ' '}` | {field.description or ''} |"
        )
    return "\n".join(lines) + "\n"


def _shown(name: str, value: object) -> object:
    return "***" if name in _SECRET and value else value
