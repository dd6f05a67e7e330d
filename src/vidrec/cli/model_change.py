"""`vidrec model activate`, `rollback`, `drop`"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vidrec.application.change_model import NEIGHBOURS, Comparison, ModelChanges
from vidrec.application.ports import Encoder
from vidrec.cli.console import emit_json, progress, say
from vidrec.cli.running import running_settings
from vidrec.domain.errors import Conflict, NotFound, Unavailable
from vidrec.domain.models import ModelVersion
from vidrec.settings import Settings, load_settings

_Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
_WAIT_S = 1.0


def activate(
    model: Annotated[str, typer.Argument(help="Folder of a model, or the version of one in the folder of models.")],
    at_a_time: Annotated[int, typer.Option(min=1, max=1000, help="Videos in work for this at a time.")] = 1,
    sample: Annotated[int, typer.Option(min=1, help="Videos whose nearest ones are compared.")] = 200,
    least_overlap: Annotated[
        float, typer.Option(min=0, max=1, help="Do not switch where fewer of the nearest videos stay the same.")
    ] = 0.0,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Embed and compare, do not switch.")] = False,
    data: _Data = None,
    as_json: _AsJson = False,
) -> None:
    """Embed the library with another model beside the present one, compare both, then switch. Recommendations go on all
    along. Cut short, it goes on where it was when it is run again; a running system does the work."""
    from vidrec.bootstrap import open_encoder

    settings = running_settings(load_settings(data_dir=data))
    version = _registered_form(model, settings)
    with _changes(settings) as changes:
        if not changes.begin(version):
            _report(as_json, f"{version.name} ({version.version}) is the active model", version, None, switched=True)
            return
        _wait_for_encoder(open_encoder(settings), version)
        compared: Comparison | None = None
        while True:
            failed = _embed(changes, version, at_a_time)
            compared = compared or _compare(changes, version, sample, as_json)
            if compared.overlap < least_overlap:
                raise Conflict(
                    f"{compared.overlap:.2f} of the nearest videos stay the same, less than --least-overlap: not "
                    f"switched; `vidrec model drop {version.version}` ends this"
                )
            if prepare_only or changes.switch(version):
                break
    if failed:
        say(f"{failed} videos could not be indexed under it: they are recommended as popular or fresh ones only")
    told = f"{version.name} ({version.version}) is {'prepared' if prepare_only else 'the active model'}"
    _report(as_json, told, version, compared, switched=not prepare_only)
    if not prepare_only:
        say("the one before is kept: `vidrec model rollback` goes back, `vidrec model drop VERSION` removes it")


def rollback(data: _Data = None, as_json: _AsJson = False) -> None:
    """Go back to the model that was active before, at once. What arrived since is indexed with it afterwards."""
    with _changes(running_settings(load_settings(data_dir=data), needed=False)) as changes:
        version, missing = changes.roll_back()
    _report(as_json, f"{version.name} ({version.version}) is the active model again", version, None, switched=True)
    if missing:
        say(f"{missing} videos arrived since: they are being indexed with it")


def drop(
    version: Annotated[str, typer.Argument(help="Version of a model, as `vidrec model list` shows it.")],
    data: _Data = None,
    as_json: _AsJson = False,
) -> None:
    """Remove the vectors and segment pictures of a model version that is not active; its files stay. A change to it
    that is going on ends."""
    with _changes(running_settings(load_settings(data_dir=data))) as changes:
        changes.drop(version)
    if as_json:
        emit_json({"version": version, "dropped": True})
    else:
        say(f"{version}: its vectors are removed")


@contextmanager
def _changes(settings: Settings) -> Iterator[ModelChanges]:
    from vidrec.bootstrap import open_database, open_index, open_media_store, open_queue

    with closing(open_database(settings)) as database, closing(open_index(settings)) as index:
        yield ModelChanges(database, open_queue(settings, database), index, open_media_store(settings))


def _registered_form(model: str, settings: Settings) -> ModelVersion:
    """What SQL will know of the model, whose folder is in the folder of models afterwards."""
    from vidrec.model.library import keep_model
    from vidrec.model.manifest import load_model_dir, to_model_version

    named = settings.models_dir / model
    folder = named if "/" not in model and named.is_dir() else Path(model)
    if not folder.is_dir():
        raise NotFound(f"{model}: expected the folder of a model, or a version that `vidrec model list` shows")
    return to_model_version(load_model_dir(keep_model(folder, settings.models_dir)))


def _wait_for_encoder(encoder: Encoder, version: ModelVersion) -> None:
    told = False
    while True:
        try:
            if encoder.serves(version.version):
                return
            missing = f"no encoder serves {version.version}: give them its folder (VIDREC_ENCODER_MODELS)"
        except Unavailable as error:
            missing = str(error)
        if not told:
            say(f"waiting: {missing}")
            told = True
        time.sleep(_WAIT_S)


def _embed(changes: ModelChanges, version: ModelVersion, at_a_time: int) -> int:
    """Returns when everything is embedded; answers how many videos cannot be."""
    failed = 0
    with progress() as bar:
        task = bar.add_task("embedding", total=None, note="")
        for state in changes.embed(version, at_a_time=at_a_time):
            failed = state.failed
            bar.update(task, completed=state.indexed + state.failed, total=state.total)
    return failed


def _compare(changes: ModelChanges, version: ModelVersion, sample: int, as_json: bool) -> Comparison:
    compared = changes.compare(version, sample=sample)
    if not as_json:
        say(
            f"of the {NEIGHBOURS} nearest videos {compared.overlap:.0%} stay the same (mean of {compared.videos} "
            f"videos; least {compared.least:.0%})"
        )
    return compared


def _report(as_json: bool, told: str, version: ModelVersion, compared: Comparison | None, *, switched: bool) -> None:
    if not as_json:
        say(told)
        return
    figures = None
    if compared is not None:
        figures = {"videos": compared.videos, "overlap": compared.overlap, "least": compared.least}
    emit_json({"version": version.version, "name": version.name, "active": switched, "compared": figures})
