"""`vidrec keys`"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from vidrec.application.access import Keys
from vidrec.cli.console import emit_json, say
from vidrec.domain.access import ApiKey, Role
from vidrec.domain.errors import InvalidInput
from vidrec.settings import load_settings

app = typer.Typer()

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.I)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.callback()
def _group() -> None:
    """Make, list and revoke keys of the API (VIDREC_AUTH=keys)."""


@app.command()
def create(
    role: Annotated[Role, typer.Option(help="producer: uploads; consumer: watches; admin: everything.")],
    name: Annotated[str, typer.Option(help="For people: whose it is, or what for.")] = "",
    user: Annotated[str | None, typer.Option(help="The only user that it acts as; of consumer keys.")] = None,
    rate_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Requests; default: VIDREC_RATE_PER_MINUTE; 0: any number.")
    ] = None,
    quota_bytes: Annotated[
        str | None, typer.Option(help="So much may be kept of what it uploads, such as 10GB or 500MiB.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: it cannot be shown again."""
    with _keys(data) as keys:
        key, text = keys.create(
            role,
            name=name,
            user_id=user,
            rate_per_minute=rate_per_minute,
            quota_bytes=None if quota_bytes is None else size_of(quota_bytes),
        )
    if as_json:
        emit_json({"key": text, **_shown(key)})
        return
    typer.echo(text)
    say(f"a {key.role} key, shown this once; `vidrec keys revoke {key.id}` ends it")


@app.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the keys, oldest first; the keys themselves are kept nowhere."""
    with _keys(data) as keys:
        found = [{**_shown(key), "bytes_kept": kept} for key, kept in keys.list()]
    if as_json:
        emit_json(found)
        return
    for key in found:
        told = [f"{what} {key[member]}" for what, member in _TOLD.items() if key[member] is not None]
        typer.echo("  ".join([key["id"], f"{key['role']:8}", key["name"] or "-", f"{key['created_at']:%F}", *told]))
    if not found:
        say("there are none yet: `vidrec keys create --role admin`")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `vidrec keys list` shows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End a key, its sessions and its tokens: within seconds, in every process of the API."""
    with _keys(data) as keys:
        key = keys.revoke(key_id)
    if as_json:
        emit_json(_shown(key))
    else:
        say(f"{key.id} ({key.role}{', ' + key.name if key.name else ''}) is revoked")


_TOLD = {
    "user": "user_id",
    "requests a minute:": "rate_per_minute",
    "quota": "quota_bytes",
    "kept": "bytes_kept",
    "revoked": "revoked_at",
}


def size_of(text: str) -> int:
    """Bytes of a size such as 10GB (powers of 1000) or 500MiB (of 1024). InvalidInput."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise InvalidInput(f"quota-bytes: expected a size such as 10GB or 500MiB, got {text!r}", field="quota_bytes")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()])


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "user_id": key.user_id,
        "rate_per_minute": key.rate_per_minute,
        "quota_bytes": key.quota_bytes,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


@contextmanager
def _keys(data: Path | None) -> Iterator[Keys]:
    from vidrec.bootstrap import open_database

    database = open_database(load_settings(data_dir=data))
    try:
        yield Keys(database)
    finally:
        database.close()
