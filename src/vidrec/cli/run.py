"""`vidrec run`"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from vidrec.application.access import Keys
from vidrec.application.ingest import Ingest, Source, find_files
from vidrec.application.manifest import read_manifest
from vidrec.application.ports import Database
from vidrec.cli.console import progress, say
from vidrec.cli.exposure import refuse_exposure
from vidrec.cli.ingest import follow_to_end
from vidrec.domain.errors import InvalidInput, VidrecError
from vidrec.domain.models import ModelVersion, VideoStatus, utc_now
from vidrec.model.published import BETTER_WEIGHTS
from vidrec.settings import Settings, load_settings
from vidrec.supervisor.system import System, check_port, locked

BETTER = f"Better: .venv-run/bin/{BETTER_WEIGHTS}"
DEMO_BUCKET = "youtubepj-v3"
"""One more bucket of the demo, which existing clients name."""


def command(
    videos: Annotated[Path | None, typer.Option(help="Folder of videos to take in; default: a demo library.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of a model; default: the last one, or untrained.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one (VIDREC_PORT).")] = None,
) -> None:
    """Start the whole system on this machine, take in videos and print the address. Ctrl-C ends everything."""
    if videos is not None and not videos.is_dir():
        raise InvalidInput(f"--videos: {videos} is no folder", field="videos")
    settings = load_settings(data_dir=data, port=port)
    refuse_exposure(settings)
    settings = settings.model_copy(update={"port": check_port(settings.host, settings.port)})
    if videos is None and DEMO_BUCKET not in settings.buckets:
        settings = settings.model_copy(update={"buckets": (*settings.buckets, DEMO_BUCKET)})
    signal.signal(signal.SIGTERM, _as_ctrl_c)
    started = time.monotonic()
    with locked(settings.data_dir), System(settings, say) as system:
        try:
            _run(system, videos, model, started)
        except KeyboardInterrupt:
            say("ending")
    say("ended")


def _run(system: System, videos: Path | None, model: Path | None, started: float) -> None:
    from vidrec.bootstrap import open_database

    settings = system.settings
    open_database(settings).close()  # the schema is there before several processes look for it
    if system.embedded_milvus:
        system.start_milvus()
    system.start_api()
    folder, change_to = _activate_model(settings, model)
    system.start_encoder(folder)
    system.start_worker()
    system.wait_until_ready("api")
    _hint_at_keys(settings)
    say(f"vidrec answers at {system.url} after {time.monotonic() - started:.0f} s (Ctrl-C ends it)")
    filling = threading.Thread(target=_told(_fill), args=(settings, videos, system.url), daemon=True)
    filling.start()
    system.wait_until_ready(*(["milvus"] if system.embedded_milvus else []), "encoder")
    if change_to is not None:
        threading.Thread(target=_told(_change), args=(settings, change_to), daemon=True).start()
    system.watch()


def _hint_at_keys(settings: Settings) -> None:
    from vidrec.bootstrap import open_database

    if settings.auth == "off":
        return
    with closing(open_database(settings)) as database:
        if not Keys(database).any():
            say(f"there is no key yet: vidrec keys create --role admin --data {settings.data_dir}")


def _activate_model(settings: Settings, model: Path | None) -> tuple[Path, ModelVersion | None]:
    """The folder of the model to serve first, which is made, registered and made the active one where it is not; and
    the one to change to beside it, where videos are indexed with another one than was asked for."""
    from vidrec.bootstrap import open_database
    from vidrec.model.built_in import NAME
    from vidrec.model.library import keep_model
    from vidrec.model.manifest import load_model_dir, stored_models, to_model_version

    database = open_database(settings)
    try:
        with database.snapshot() as uow:
            roles = uow.models.roles()
            indexed = uow.catalogue.counts().get(VideoStatus.INDEXED)
        active = roles.active
        stored = {manifest.version: path for path, manifest in stored_models(settings.models_dir).items()}
        held = stored.get(active.version) if active is not None else None
        wanted = keep_model(model, settings.models_dir) if model is not None else held or _made_default_model(settings)
        version = to_model_version(load_model_dir(wanted))
        if roles.prepared is not None and roles.prepared != version:
            say(f"a change to {roles.prepared.version} was begun: `vidrec model activate` goes on with it")
        changing = indexed and held is not None and active is not None and active.version != version.version
        if not changing and active != version:
            with database.transaction() as uow:
                uow.models.register(version)
                uow.models.activate(version.version)
    finally:
        database.close()
    if not version.trained:
        say(f"the weights are UNTRAINED: colour, texture and layout count, meaning does not. {BETTER}")
    elif NAME in version.name.split():
        say(f"the weights are the built-in ones: they see no meaning, only how things look. {BETTER}")
    return (held, version) if changing and held is not None else (wanted, None)


def _change(settings: Settings, model: ModelVersion) -> None:
    """Changes to the model without a gap, and says so."""
    from vidrec.application.change_model import ModelChanges
    from vidrec.bootstrap import open_database, open_index, open_media_store, open_queue

    with closing(open_database(settings)) as database, closing(open_index(settings)) as index:
        changes = ModelChanges(database, open_queue(settings, database), index, open_media_store(settings))
        if changes.begin(model):
            say(f"embedding the library with {model.name}; recommendations go on with the model before")
            while True:
                for _ in changes.embed(model, at_a_time=1):
                    pass
                if changes.switch(model):
                    break
        say(f"{model.name} ({model.version}) is the active model")


def _made_default_model(settings: Settings) -> Path:
    """Made by a process of its own, so that the 300 MB which that takes do not stay with this one."""
    from vidrec.model.built_in import default_weights

    arch, weights = default_weights()
    say(f"making the default model: {arch}, {weights}")
    command = [sys.executable, "-m", "vidrec", "model", "export", "--arch", arch, "--weights", weights]
    command += ["--int8", "--json"]
    done = subprocess.run(
        command, env={**os.environ, **settings.environment()}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise VidrecError("the default model could not be made, for the reason above")
    return Path(json.loads(done.stdout)["folder"])


def _fill(settings: Settings, videos: Path | None, url: str) -> None:
    """Takes in the videos, or the demo library where there is nothing yet, and says how it went."""
    from vidrec.bootstrap import open_database, open_queue

    database = open_database(settings)
    try:
        ingest = Ingest(database, open_queue(settings, database))
        with database.snapshot() as uow:
            empty = not uow.catalogue.counts()
        waiting = ingest.reindex_all()
        user = None
        if videos is not None:
            sources = find_files([videos])
            if not sources:
                say(f"there are no videos in {videos}")
        elif empty or (settings.data_dir / "demo").is_dir():
            sources, user = _demo_sources(settings), "mina"
        else:
            sources = []
        with progress() as bar:
            task = bar.add_task("reading files", total=len(sources), note="")
            intake = ingest.add(sources, progress=lambda done: bar.update(task, completed=done))
        if user is not None:
            _add_demo_users(database)
        for path, reason in intake.unreadable.items():
            say(f"unreadable: {path}: {reason}")
        _follow(ingest, [*waiting, *intake.queued])
    finally:
        database.close()
    who = user or "you"
    say(f"recommendations: {url}/recommend?userid={who}   page: {url}/")


def _follow(ingest: Ingest, video_ids: list[str]) -> None:
    if not video_ids:
        say("all videos are indexed")
        return
    started = time.monotonic()
    last = follow_to_end(ingest, video_ids)
    for video in last.failed.values():
        say(f"failed: {video.filename}: {video.failure_message} ({video.failure_reason})")
    say(f"{last.indexed} videos indexed, {len(last.failed)} failed, in {time.monotonic() - started:.0f} s")


def _demo_sources(settings: Settings) -> list[Source]:
    from vidrec.adapters.tables import read_table
    from vidrec.demo import make_library

    folder = settings.data_dir.absolute() / "demo"
    with progress() as bar:
        task = bar.add_task("making demo videos", total=None, note="")
        manifest = make_library(folder, lambda done, total: bar.update(task, completed=done, total=total))
    return read_manifest(read_table(manifest), folder=folder)


def _add_demo_users(database: Database) -> None:
    from vidrec.demo import clips, demo_interactions

    with database.transaction() as uow:
        videos = uow.catalogue.resolve([clip.external_id for clip in clips()])
        uow.interactions.append(demo_interactions(videos, now=utc_now()))


def _told(call: Callable[..., None]) -> Callable[..., None]:
    """What goes wrong beside the watching is said; the system goes on."""

    def run(*arguments: object) -> None:
        try:
            call(*arguments)
        except VidrecError as error:
            say(f"error: {error}")

    return run


def _as_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt
