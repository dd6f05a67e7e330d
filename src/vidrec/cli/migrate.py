"""`vidrec migrate`"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import say
from vidrec.settings import load_settings


def command(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 where the schema is older or missing.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Bring the SQL schema to this release; safe to run twice, and by several at once."""
    from vidrec.adapters.sql import SqlDatabase, migrate

    settings = load_settings(data_dir=data)
    if check:
        with closing(SqlDatabase(settings.sql_url)) as database:
            database.ping()
        say("the schema is current")
        return
    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    say(f"the schema is current: {migrate(settings.sql_url)}")
