"""`vidrec s3`"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from vidrec.cli.console import emit_json, say
from vidrec.domain.errors import InvalidInput, Unavailable
from vidrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from vidrec.adapters.s3.buckets import Rule

app = typer.Typer()
log = logging.getLogger(__name__)

_Apply = Annotated[bool, typer.Option("--apply", help="Set what is missing; other rules stay.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]


@app.callback()
def _group() -> None:
    """Look after the buckets of an object store."""


@app.command()
def cors(
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of the pages, such as https://videos.example.com; repeatable. VIDREC_PUBLIC_URL."),
    ] = None,
    apply: _Apply = False,
    data: _Data = None,
    as_json: _Json = False,
) -> None:
    """Show whether browsers may upload into the buckets and play from them, and with --apply let them. Exit code: 0
    where they may, 1 where they may not."""
    from vidrec.adapters.s3 import buckets

    settings = _settings(data)
    origins = [one.rstrip("/") for one in origin or _own_origin(settings)]
    wanted = buckets.wanted_cors(origins)
    _look_after(
        settings,
        buckets.cors,
        lambda s3, bucket: buckets.set_cors(s3, bucket, wanted),
        lambda rules: all(buckets.allows(rules, one) for one in origins),
        wanted,
        apply=apply,
        as_json=as_json,
        as_it_should_be=f"pages of {', '.join(origins)} may upload and play",
    )


@app.command()
def lifecycle(apply: _Apply = False, data: _Data = None, as_json: _Json = False) -> None:
    """Show whether the store removes parts of uploads that nobody completed, and with --apply let it. Exit code: 0
    where it does, 1 where it does not."""
    from vidrec.adapters.s3 import buckets

    wanted = buckets.wanted_lifecycle()
    _look_after(
        _settings(data),
        buckets.lifecycle,
        lambda s3, bucket: buckets.set_lifecycle(s3, bucket, wanted),
        buckets.tidies,
        wanted,
        apply=apply,
        as_json=as_json,
        as_it_should_be="abandoned uploads are removed",
    )


def warn_of_cors(settings: Settings) -> None:
    """Says once, in the log, where browsers may not use the buckets, and which command cures it."""
    from vidrec.adapters.s3 import buckets
    from vidrec.bootstrap import media_buckets, open_object_store

    parts = urlsplit(settings.public_url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
    for bucket in media_buckets(settings):
        try:
            if buckets.allows(buckets.cors(open_object_store(settings), bucket), origin):
                continue
            hint = "`vidrec s3 cors --apply --origin ADDRESS_OF_THE_PAGES`"
            log.warning("browsers may not upload into bucket %s or play from it yet: %s lets them", bucket, hint)
        except buckets.NotKnown as error:
            log.warning("bucket %s: %s, see docs/s3.md", bucket, error)
        except Unavailable as error:
            log.warning("bucket %s: whether browsers may use it is not known: %s", bucket, error)


def _look_after(
    settings: Settings,
    read: Callable[[Any, str], Sequence[Rule]],
    write: Callable[[Any, str], None],
    is_good: Callable[[Sequence[Rule]], bool],
    wanted: Rule,
    *,
    apply: bool,
    as_json: bool,
    as_it_should_be: str,
) -> None:
    from vidrec.bootstrap import media_buckets, open_object_store

    s3 = open_object_store(settings)
    state: dict[str, bool] = {}
    for bucket in media_buckets(settings):
        good = is_good(read(s3, bucket))
        if apply and not good:
            write(s3, bucket)
            good = is_good(read(s3, bucket))
        state[bucket] = good
    if as_json:
        emit_json({"buckets": state, "rule": wanted})
    else:
        for bucket, good in state.items():
            say(f"{bucket}: {as_it_should_be if good else 'not so yet; --apply adds this rule:'}")
        if not all(state.values()):
            say(json.dumps(wanted, indent=2))
    if not all(state.values()):
        raise typer.Exit(1)


def _settings(data: Path | None) -> Settings:
    settings = load_settings(data_dir=data)
    if not settings.media_url:
        raise InvalidInput("VIDREC_MEDIA_URL is empty: there is no object store to look after", field="media_url")
    return settings


def _own_origin(settings: Settings) -> list[str]:
    if not settings.public_url:
        raise InvalidInput("name the --origin of the pages, or set VIDREC_PUBLIC_URL", field="origin")
    scheme, _, rest = settings.public_url.partition("://")
    return [f"{scheme}://{rest.partition('/')[0]}"]
