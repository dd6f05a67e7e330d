"""`vidrec index`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import emit_json, progress, say
from vidrec.domain.errors import InvalidInput
from vidrec.settings import Settings, load_settings

app = typer.Typer()
PATIENCE_S = 60.0
"""Least timeout of a call: nobody waits for it at a screen, and a copy must not end at the first slow answer."""


@app.callback()
def _group() -> None:
    """Look after the vector index."""


@app.command()
def move(
    to: Annotated[str, typer.Option(help="Address of the Milvus server to copy to, such as http://milvus:19530.")],
    to_token: Annotated[str, typer.Option(envvar="VIDREC_MOVE_TOKEN", help="`user:password` or a token there.")] = "",
    to_user: Annotated[str, typer.Option(help="User there, instead of a token.")] = "",
    to_password: Annotated[str, typer.Option(envvar="VIDREC_MOVE_PASSWORD", help="That user's password.")] = "",
    to_database: Annotated[str, typer.Option(help="Database there; made where it is missing.")] = "",
    to_certificate: Annotated[str, typer.Option(help="PEM file that an https server there is checked by.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Copy again what is there already.")] = False,
    source: Annotated[
        str | None, typer.Option("--from", help="Milvus server to copy from; default: Milvus Lite in the data folder.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Copy all vectors of the active model to another Milvus, without decoding again; then set VIDREC_MILVUS_URI. The
    source stays as it is. Run again after it was cut short, it carries on. A system that runs on the data folder must
    be ended first."""
    from vidrec.application.move_index import move_index
    from vidrec.bootstrap import open_database, open_index

    settings = load_settings(data_dir=data, milvus_uri=source)
    settings = settings.model_copy(update={"milvus_timeout_s": max(settings.milvus_timeout_s, PATIENCE_S)})
    if (to.rstrip("/"), to_database) == (settings.milvus_uri.rstrip("/"), settings.milvus_database):
        raise InvalidInput(f"--to: {to} is where the vectors are now", field="to")
    there = settings.model_copy(
        update={
            "milvus_uri": to,
            "milvus_token": to_token,
            "milvus_user": to_user,
            "milvus_password": to_password,
            "milvus_database": to_database,
            "milvus_certificate": to_certificate,
        }
    )
    with (
        reachable_index(settings) as here,
        closing(open_database(settings)) as database,
        closing(open_index(here)) as origin,
        closing(open_index(there)) as target,
        progress() as bar,
    ):
        task = bar.add_task("moving", total=None, note="")
        moved = move_index(
            database,
            origin,
            target,
            everything=everything,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        emit_json(asdict(moved))
    else:
        say(f"{moved.videos} videos with {moved.segments} segments copied to {to}, {moved.already} were there already")
        named = f" VIDREC_MILVUS_DATABASE={to_database}" if to_database else ""
        say(f"use it: VIDREC_MILVUS_URI={to}{named}")
    if moved.missing:
        say(f"{moved.missing} videos have no vectors in the source: ingest them again")
        raise typer.Exit(1)


@contextmanager
def reachable_index(settings: Settings) -> Iterator[Settings]:
    """The settings with an address at which the vectors are served for the time of the block."""
    if not settings.embedded_milvus:
        yield settings
        return
    from vidrec.supervisor.system import System, locked

    if not settings.vectors_dir.is_dir():
        raise InvalidInput(
            f"there are no vectors in {settings.vectors_dir}: name their server (--from, VIDREC_MILVUS_URI)",
            field="from",
        )
    with locked(settings.data_dir), System(settings, say) as system:
        system.start_milvus()
        system.wait_until_ready("milvus")
        yield system.settings
