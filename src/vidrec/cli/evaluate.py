"""`vidrec evaluate`"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidrec.cli.console import emit_json, progress, say, stderr
from vidrec.cli.evaluate_interactions import interactions
from vidrec.domain.errors import InvalidInput
from vidrec.domain.halves import Half, clip_is_in
from vidrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from vidrec.application.evaluate_retrieval import Encode, Labelled, Report

app = typer.Typer()


@app.callback()
def _group() -> None:
    """Measure how well encoders put like beside like, and how well recommendations find what users liked next."""


app.command()(interactions)


@app.command()
def retrieval(
    folder: Annotated[Path, typer.Argument(help="Pictures in folders named by what they show; with --labels, clips.")],
    labels: Annotated[
        Path | None, typer.Option(help="Table of clips: columns `file`, `category` and, if known, `neardup_group`.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of a model; default: the active or built-in one.")] = None,
    half: Annotated[Half, typer.Option(help="Of the project's own test media: what to look at.")] = Half.ALL,
    data: Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Ask for each picture or clip which others are most alike, and count how often they are of its kind: mean average
    precision and recall@1, beside chance and a 64-bin colour histogram."""
    from vidrec.adapters.onnx_encoder import OnnxEncoder
    from vidrec.model.manifest import ONNX_FILE, load_model_dir

    settings = load_settings(data_dir=data)
    chosen = model or _default_model(settings)
    manifest = load_model_dir(chosen)
    measure = _clips if labels is not None else _pictures
    report = measure(
        folder, labels, half, settings, lambda: OnnxEncoder(chosen / ONNX_FILE, dimension=manifest.dimension).run
    )
    for sentence in report.left_out:
        say(f"left out: {sentence}")
    if as_json:
        emit_json({"model": manifest.version, "name": manifest.name, "dimension": manifest.dimension, **asdict(report)})
    else:
        _print(report, manifest.name)


def _pictures(
    folder: Path, _: Path | None, half: Half, settings: Settings, open_encoder: Callable[[], Encode]
) -> Report:
    from vidrec.adapters.labelled_pictures import read_labelled_pictures
    from vidrec.application.evaluate_retrieval import evaluate_pictures

    found = read_labelled_pictures(folder, field="folder", half=half)
    with stderr.status(f"looking at {len(found.labels)} pictures"):
        return evaluate_pictures(found.frames, found.labels, open_encoder(), found.unreadable)


def _clips(
    folder: Path, labels: Path | None, half: Half, settings: Settings, open_encoder: Callable[[], Encode]
) -> Report:
    from vidrec.application.evaluate_retrieval import evaluate_clips
    from vidrec.bootstrap import open_frame_source

    assert labels is not None
    clips = [clip for clip in _labelled(folder, labels) if clip_is_in(clip.path.name, half)]
    if not clips:
        raise InvalidInput(f"{labels}: none of its clips is in the {half.value} half", field="labels")
    with progress() as bar:
        task = bar.add_task("looking at clips", total=len(clips), note="")
        return evaluate_clips(
            clips, open_frame_source(settings), open_encoder(), lambda done: bar.update(task, completed=done)
        )


def _labelled(folder: Path, labels: Path) -> list[Labelled]:
    from vidrec.adapters.tables import read_table
    from vidrec.application.evaluate_retrieval import Labelled

    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder", field="folder")
    clips = []
    for number, row in read_table(labels):
        if "file" not in row or "category" not in row:
            missing = "file" if "file" not in row else "category"
            raise InvalidInput(f"{labels}: no column {missing!r}; expected `file` and `category`", field="labels")
        path = folder / str(row["file"])
        if not path.is_file():
            raise InvalidInput(f"{labels}: row {number}: {path} is not there", field="labels", index=number)
        category, group = row["category"], row.get("neardup_group")
        clips.append(Labelled(path, str(category) if category else None, str(group) if group else None))
    return clips


def _default_model(settings: Settings) -> Path:
    """The active model where there is a library, else the one that `vidrec run` would start with."""
    from contextlib import closing

    from vidrec.bootstrap import open_database
    from vidrec.model.default import ensure_default_model
    from vidrec.model.manifest import stored_models

    if settings.database_url or (settings.data_dir / "vidrec.db").exists():
        with closing(open_database(settings)) as database, database.snapshot() as uow:
            active = uow.models.active()
        for folder, manifest in stored_models(settings.models_dir).items():
            if active is not None and manifest.version == active.version:
                return folder
    return ensure_default_model(settings.models_dir, say)


def _print(report: Report, name: str) -> None:
    from rich.table import Table

    table = Table("", "mAP", "recall@1", *(["near-duplicates found"] if report.near_duplicates else []))
    for method, found in report.retrieval.items():
        twins = report.near_duplicates.get(method)
        last = f"{twins.recall_at_1:.3f} at {twins.false_collapses:.2%} false" if twins else ""
        row = [name if method == "model" else method, f"{found.mean_average_precision:.3f}", f"{found.recall_at_1:.3f}"]
        table.add_row(*row, *([last] if report.near_duplicates else []))
    stderr.print(table)
    say(f"{report.items} items of {report.labels} kinds")
