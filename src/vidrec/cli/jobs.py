"""`vidrec jobs`"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidrec.cli.console import emit_json, say, stdout
from vidrec.domain.errors import InvalidInput, VidrecError
from vidrec.domain.models import Job, JobState
from vidrec.settings import load_settings

if TYPE_CHECKING:
    from vidrec.application.ports import Database, JobQueue

app = typer.Typer()

MOST = 10_000
"""So many dead jobs are tried again by one `--all`."""
Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of jobs, as `vidrec jobs list` shows them.")]


@app.callback()
def _group() -> None:
    """Look after the work that waits, runs, or was given up."""


@app.command("list")
def list_(
    state: Annotated[JobState | None, typer.Option(help="Of this state only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="So many.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show jobs, newest first."""
    with _open(data) as (_, queue):
        jobs = queue.list(state=state, limit=limit)
    if as_json:
        emit_json([_shown(job) for job in jobs])
    elif not jobs:
        say("there are no jobs" if state is None else f"there are no {state} jobs")
    else:
        from rich.table import Table
        from rich.text import Text

        table = Table("id", "kind", "video", "state", "attempts", "due", "last error", box=None, pad_edge=False)
        for job in jobs:
            due = f"{job.run_at:%Y-%m-%d %H:%M:%S}" if job.state is JobState.QUEUED else ""
            error = Text(" ".join((job.last_error or "").split()))
            table.add_row(job.id, job.kind, job.video_id or "", job.state, str(job.attempts), due, error)
        stdout().print(table)


@app.command()
def retry(
    ids: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="All dead jobs.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Try dead jobs again, with all their attempts before them. Exit code 1 where some are not."""
    from vidrec.application.job_control import JobControl

    if all_ == bool(ids):
        raise InvalidInput("ids: expected ids of jobs, or --all", field="ids")
    with _open(data) as (database, queue):
        wanted = [job.id for job in queue.list(state=JobState.DEAD, limit=MOST)] if all_ else list(ids or ())
        _each(wanted, JobControl(database, queue).retry, lambda _: "waits again", as_json)


@app.command()
def cancel(ids: Ids = None, data: Data = None, as_json: AsJson = False) -> None:
    """End jobs. One that runs is stopped by its worker within seconds. Exit code 1 where some had ended."""
    from vidrec.application.job_control import JobControl

    if not ids:
        raise InvalidInput("ids: expected ids of jobs", field="ids")

    def told(was: JobState) -> str:
        return "cancelled; its worker stops" if was is JobState.RUNNING else "cancelled"

    with _open(data) as (database, queue):
        _each(ids, JobControl(database, queue).cancel, told, as_json)


def _each(ids: Sequence[str], action: Callable[[str], Any], told: Callable[[Any], str], as_json: bool) -> None:
    """Does it to each, says what became of each, and ends with 1 where one was refused."""
    done, refused = [], {}
    for job_id in ids:
        try:
            text = told(action(job_id))
        except VidrecError as error:
            refused[job_id] = str(error)
            text = f"refused: {error}"
        else:
            done.append(job_id)
        if not as_json:
            say(f"{job_id}: {text}")
    if as_json:
        emit_json({"done": done, "refused": refused})
    elif not ids:
        say("there are no dead jobs")
    if refused:
        raise typer.Exit(1)


@contextmanager
def _open(data: Path | None) -> Iterator[tuple[Database, JobQueue]]:
    from vidrec.bootstrap import open_database, open_queue

    settings = load_settings(data_dir=data)
    database = open_database(settings)
    try:
        yield database, open_queue(settings, database)
    finally:
        database.close()


def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "video_id": job.video_id,
        "state": job.state,
        "priority": job.priority,
        "attempts": job.attempts,
        "created_at": job.created_at.isoformat(),
        "due_at": job.run_at.isoformat(),
        "last_error": job.last_error,
    }
