"""`vidrec sweep`"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from vidrec.application.prune import prune
from vidrec.cli.console import emit_json, say
from vidrec.domain.models import utc_now
from vidrec.settings import load_settings

_WRITING = timedelta(days=1)
"""No write takes so long: what is older was cut short."""


def command(
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Take over what arrived and nobody told of, withdraw uploads that never came, remove files of writes that were cut
    short, forget records and jobs whose time is over; then end. Workers do most of it by themselves; safe to run at any
    time, and several at once."""
    from vidrec.bootstrap import open_database, open_media_store, open_queue, open_uploads

    settings = load_settings(data_dir=data)
    with closing(open_database(settings)) as database:
        queue = open_queue(settings, database)
        swept = open_uploads(settings, database, queue).sweep()
        unfinished = open_media_store(settings).sweep(utc_now() - _WRITING)
        pruned = prune(database, queue, recommendation_days=settings.recommendation_days, job_days=settings.job_days)
    if as_json:
        emit_json({**asdict(swept), "unfinished": unfinished, **asdict(pruned)})
        return
    say(
        f"{swept.arrived} had arrived, {swept.withdrawn} withdrawn, {swept.leftovers + unfinished} leftovers removed; "
        f"{pruned.recommendations} old recommendations and {pruned.jobs} old jobs forgotten"
    )
