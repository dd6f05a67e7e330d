"""`vidrec erase`"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidrec.cli.console import emit_json, progress, say, stdout
from vidrec.domain.errors import Conflict
from vidrec.settings import load_settings

if TYPE_CHECKING:
    from vidrec.application.ports import Database, JobQueue, Receipt
    from vidrec.settings import Settings

app = typer.Typer()

POLL_S = 0.2
Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.callback()
def _group() -> None:
    """Forget videos and users, and look whether they are forgotten."""


@app.command()
def video(
    name: Annotated[str, typer.Argument(help="Id of the video, or external:ID.")],
    wait: Annotated[float, typer.Option(min=0.0, help="Follow for so many seconds, until a worker is done.")] = 0.0,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Delete a video: shown to nobody from now on; a worker removes all that is kept of it. Exit code 1 where it is not
    done after --wait."""
    from vidrec.application.catalogue import VideoCatalogue
    from vidrec.application.erase import Eraser
    from vidrec.bootstrap import open_index

    with _open(data) as (settings, database, queue):
        eraser = Eraser(database, queue)
        receipt = eraser.erase_video(VideoCatalogue(database, open_index(settings)).identify_one(name))
        until = time.monotonic() + wait
        while receipt.completed_at is None and time.monotonic() < until:
            time.sleep(POLL_S)
            receipt = eraser.receipt(receipt.id)
    _tell(receipt, as_json)
    if wait and receipt.completed_at is None:
        raise typer.Exit(1)


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(help="Id of the user.")], data: Data = None, as_json: AsJson = False
) -> None:
    """Remove all that is kept of a user, at once."""
    from vidrec.application.erase import Eraser

    with _open(data) as (_, database, queue):
        receipt = Eraser(database, queue).erase_user(user_id)
    _tell(receipt, as_json)


@app.command()
def audit(data: Data = None, as_json: AsJson = False) -> None:
    """Look again for everything that was ever erased, in every store; changes nothing. Exit code 1 where something is
    back. `vidrec erase video ID` removes it again."""
    from vidrec.application.erasure_audit import audit as look
    from vidrec.bootstrap import open_index, open_media_store

    with _open(data) as (settings, database, queue), progress() as bar:
        task = bar.add_task("looking", total=None, note="")
        index = open_index(_running(settings))
        try:
            found = look(
                database,
                queue,
                index,
                open_media_store(settings),
                progress=lambda done: bar.update(task, completed=done),
            )
        finally:
            index.close()
    if as_json:
        emit_json(asdict(found))
    else:
        for back in found.back:
            for one in back.looks:
                stdout().print(f"{back.kind} {back.subject}: {one.found} {one.store} of {one.place}", markup=False)
        say(f"{found.videos} videos and {found.users} users were erased, of {len(found.back)} something is there")
        if found.pending:
            say(f"{found.pending} erasures are not done yet: `vidrec jobs list` shows their jobs")
    if found.back:
        raise typer.Exit(1)


def _tell(receipt: Receipt, as_json: bool) -> None:
    if as_json:
        emit_json(_shown(receipt))
    elif receipt.completed_at is not None:
        say(f"done: {len(receipt.looks)} places were looked into, nothing is left; receipt {receipt.id}")
    elif receipt.remaining:
        say(f"{receipt.remaining} pieces are still there, and are removed again; receipt {receipt.id}")
    else:
        say(f"shown to nobody any more; a worker removes what is kept; receipt {receipt.id}")


def _shown(receipt: Receipt) -> dict[str, Any]:
    return {**asdict(receipt), "remaining": receipt.remaining}


def _running(settings: Settings) -> Settings:
    """The settings with the address of the vectors of the system that runs on the data folder, where one does."""
    from vidrec.supervisor.system import settings_of_running

    found = settings_of_running(settings)
    if found is None and settings.embedded_milvus and not settings.database_url:
        raise Conflict(f"no system runs on {settings.data_dir}: start it first by `make run`")
    return found or settings


@contextmanager
def _open(data: Path | None) -> Iterator[tuple[Settings, Database, JobQueue]]:
    from vidrec.bootstrap import open_database, open_queue

    settings = load_settings(data_dir=data)
    database = open_database(settings)
    try:
        yield settings, database, open_queue(settings, database)
    finally:
        database.close()
