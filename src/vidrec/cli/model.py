"""`vidrec model`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import emit_json, say, stderr
from vidrec.cli.training import pictures, train
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import Frames
from vidrec.settings import load_settings

app = typer.Typer()
app.command()(train)
app.command()(pictures)


PICTURES = {"calibration": (16, 256), "fit": (64, 2048)}
"""Fewest that are enough, and most that are used."""


class Arch(StrEnum):
    """Depths of torchvision's ResNet."""

    RESNET18 = "resnet18"
    RESNET34 = "resnet34"
    RESNET50 = "resnet50"
    RESNET101 = "resnet101"
    RESNET152 = "resnet152"


class Readout(StrEnum):
    """How an embedding is made of what the network sees."""

    LAST = "last"
    STAGES = "stages"


Data = Annotated[Path | None, typer.Option(help="Data folder (VIDREC_DATA_DIR).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def export(
    arch: Annotated[Arch, typer.Option(help="Depth of the ResNet.")] = Arch.RESNET18,
    weights: Annotated[
        str, typer.Option(help="`imagenet` (downloads), `untrained`, or the path of a torchvision checkpoint.")
    ] = "imagenet",
    int8: Annotated[bool, typer.Option("--int8", help="Quantise: about 2.5 times as fast on a CPU.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision, for GPUs.")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of pictures that set int8's value ranges; default: generated ones.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of untrained weights.")] = 0,
    readout: Annotated[
        Readout | None,
        typer.Option(help="`last`: mean of the last stage; `stages`: all four, whitened. Default: the weights' own."),
    ] = None,
    dimension: Annotated[int, typer.Option(min=2, help="Values an embedding, of `--readout stages`.")] = 512,
    fit: Annotated[
        Path | None, typer.Option(help="Folder of pictures that `stages` is fitted on; default: generated ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of models; default: models in the data folder.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Export a torchvision ResNet without its classifier. Trained weights need torch (`make export-env`)."""
    from vidrec.model.encoder import Fitting
    from vidrec.model.export import export as export_model

    if int8 and fp16:
        raise InvalidInput("--int8 and --fp16 exclude each other", field="fp16")
    if calibration is not None and not int8:
        raise InvalidInput("--calibration is for --int8", field="calibration")
    if fit is not None and readout is not Readout.STAGES:
        raise InvalidInput("--fit is for --readout stages", field="fit")
    fitting = None
    if readout is Readout.STAGES:
        frames = _frames(fit, "fit") if fit else None
        fitting = Fitting(dimension, frames, f"pictures of {fit.name}") if fit else Fitting(dimension)
    with stderr.status(f"exporting {arch.value}"):
        folder = export_model(
            arch.value,
            weights,
            out or load_settings(data_dir=data).models_dir,
            precision="int8" if int8 else "fp16" if fp16 else "fp32",
            seed=seed,
            calibration=_frames(calibration, "calibration") if calibration else None,
            fitting=fitting,
            own_readout=readout is not Readout.LAST,
        )
    _report(folder, as_json)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="ONNX: uint8 frames (n, 224, 224, 3) in, float vectors (n, d) out.")],
    name: Annotated[str | None, typer.Option(help="For people; default: the file's name.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights.")] = "not stated",
    untrained: Annotated[bool, typer.Option("--untrained", help="Answers will say that it sees no meaning.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of models; default: models in the data folder.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check another encoder against the contract and write its manifest."""
    from vidrec.model.add import add_model

    models = out or load_settings(data_dir=data).models_dir
    _report(add_model(file, models, name=name, licence=licence, trained=not untrained), as_json)


@app.command("list")
def list_(data: Data = None, as_json: AsJson = False) -> None:
    """List the models of the data folder."""
    from vidrec.model.manifest import stored_models

    found = stored_models(load_settings(data_dir=data).models_dir)
    if as_json:
        emit_json([manifest.model_dump(mode="json", exclude={"canonical"}) for manifest in found.values()])
        return
    for folder, manifest in found.items():
        typer.echo(f"{manifest.version}  {manifest.name}  {manifest.dimension} values  {folder}")
    if not found:
        say("there are none yet: `vidrec model export --help`")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a model.")],
    as_json: AsJson = False,
) -> None:
    """Run the canonical frames and compare with the vectors in the manifest."""
    from vidrec.model.manifest import verify as verify_model

    least = verify_model(folder)
    if as_json:
        emit_json({"least_cosine": least})
    else:
        say(f"{folder}: as it was made (least cosine {least:.6f})")


def _report(folder: Path, as_json: bool) -> None:
    from vidrec.model.manifest import load_model_dir

    manifest = load_model_dir(folder)
    if as_json:
        emit_json({"folder": str(folder), **manifest.model_dump(mode="json", exclude={"canonical"})})
        return
    say(f"{manifest.name}: {manifest.dimension} values a frame, version {manifest.version}, in {folder}")
    say(f"use it: make run MODEL={folder}")


def _frames(folder: Path, option: str) -> Frames:
    import numpy as np

    from vidrec.adapters.picture import read_picture

    if not folder.is_dir():
        raise InvalidInput(f"--{option}: {folder} is no folder", field=option)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    least, most = PICTURES[option]
    if len(files) < least:
        raise InvalidInput(f"--{option}: {len(files)} pictures in {folder}; expected at least {least}", field=option)
    chosen = files[:: max(1, len(files) // most)][:most]
    return np.concatenate([read_picture(path.read_bytes()) for path in chosen])
