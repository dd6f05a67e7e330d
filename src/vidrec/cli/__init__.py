"""The `vidrec` command. Only the module of the command that was called is imported, so that each starts fast."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from vidrec import __version__
from vidrec.domain.errors import Conflict, InvalidInput, NotFound, VidrecError


class _Entry(NamedTuple):
    module: str
    summary: str


COMMANDS = {
    "run": _Entry("run", "Start the whole system on this machine and print its address."),
    "ingest": _Entry("ingest", "Take in video files and folders, and follow until they are indexed."),
    "upload": _Entry("upload", "Send video files and folders to a running system."),
    "uploads": _Entry("uploads", "Look after uploads."),
    "import": _Entry("import_", "Import what users did (CSV or Parquet)."),
    "keys": _Entry("keys", "Make, list and revoke keys of the API."),
    "index": _Entry("index", "Move the vectors to another Milvus."),
    "model": _Entry("model", "Export, add, list, verify and change encoders."),
    "evaluate": _Entry("evaluate", "Measure encoders by likeness, and recommendations by what users liked next."),
    "replay": _Entry("replay", "Make a recommendation again, and say whether it is the same."),
    "api": _Entry("api", "Serve the HTTP API and the page."),
    "worker": _Entry("worker", "Take jobs: decode videos and write their embeddings."),
    "encoder": _Entry("encoder", "Serve the encoder: frames in, embeddings out."),
    "jobs": _Entry("jobs", "List, retry and cancel jobs."),
    "erase": _Entry("erase", "Forget videos and users, and look whether they are forgotten."),
    "s3": _Entry("s3", "Look after the buckets of an object store."),
    "migrate": _Entry("migrate", "Bring the SQL schema to this release; safe to run twice."),
    "sweep": _Entry("sweep", "Remove and take over what was left; once, for a timer."),
    "capacity": _Entry("capacity", "Tell what a library takes: memory, storage, hours of encoding."),
    "settings": _Entry("settings", "Show every setting with its present value."),
}
"""A module of a command has `command`; one of a group of commands has `app`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command. Exits with 0; 1 where a dependency did not answer or some of the work failed; 2 where the input
    was wrong; 130 on Ctrl-C. An error that vidrec raises on purpose is one line on stderr, never a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _build(arguments)(arguments, prog_name="vidrec")
    except VidrecError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2 if isinstance(error, InvalidInput | NotFound | Conflict) else 1)


def _build(arguments: Sequence[str]) -> typer.Typer:
    app = typer.Typer(
        help="Recommends videos by what is in them.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, entry in COMMANDS.items():
        module = import_module(f"vidrec.cli.{entry.module}") if name == wanted else None
        group = getattr(module, "app", None)
        if group is not None:
            app.add_typer(group, name=name, help=entry.summary, no_args_is_help=True)
        else:
            app.command(name, help=entry.summary if module is None else None)(getattr(module, "command", _not_loaded))
    return app


def _not_loaded() -> None:
    """Stands in the list of commands for those that were not called."""


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    # Commands that run as services set a level of their own from the settings.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
