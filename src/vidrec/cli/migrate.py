"""`vidrec migrate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import say
from vidrec.settings import load_settings


def command(
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Bring the SQL schema to this release; safe to run twice."""
    from vidrec.adapters.sql import migrate

    settings = load_settings(data_dir=data)
    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.sql_url)
    say("the schema is current")
