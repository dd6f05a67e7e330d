"""`vidrec uploads`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import emit_json, say
from vidrec.settings import load_settings

app = typer.Typer()


@app.callback()
def _group() -> None:
    """Look after uploads."""


@app.command()
def sweep(
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Take over what arrived and nobody told of, withdraw what was announced and never came, remove leftovers. Workers
    do this by themselves; safe to run at any time."""
    from vidrec.bootstrap import open_database, open_queue, open_uploads

    settings = load_settings(data_dir=data)
    database = open_database(settings)
    try:
        swept = open_uploads(settings, database, open_queue(settings, database)).sweep()
    finally:
        database.close()
    if as_json:
        emit_json(asdict(swept))
    else:
        say(f"{swept.arrived} had arrived, {swept.withdrawn} withdrawn, {swept.leftovers} leftovers removed")
