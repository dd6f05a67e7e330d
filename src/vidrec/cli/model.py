"""`vidrec model`"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidrec.cli import model_change
from vidrec.cli.console import emit_json, progress, say, stderr
from vidrec.cli.training import pack, pictures, train
from vidrec.domain.errors import InvalidInput, Unavailable
from vidrec.domain.models import Frames
from vidrec.model.published import BASE_URL
from vidrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from vidrec.model.encoder import Fitting

app = typer.Typer()
app.command()(train)
app.command()(pictures)
app.command()(pack)


IMAGENET = "imagenet"
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


Int8 = Annotated[bool, typer.Option("--int8", help="Quantise: about 2.5 times as fast on a CPU.")]
Fp16 = Annotated[bool, typer.Option("--fp16", help="Half precision, for GPUs.")]
Calibration = Annotated[
    Path | None, typer.Option(help="Folder of pictures that set int8's value ranges; default: generated ones.")
]
ReadoutKind = Annotated[
    Readout | None,
    typer.Option(help="`last`: mean of the last stage; `stages`: all four, whitened. Default: the weights' own."),
]
Dimension = Annotated[int, typer.Option(min=2, help="Values an embedding, of `--readout stages`.")]
Fit = Annotated[
    Path | None, typer.Option(help="Folder of pictures that `stages` is fitted on; default: generated ones.")
]
Out = Annotated[Path | None, typer.Option(help="Folder of models; default: models in the data folder.")]
Base = Annotated[str, typer.Option("--from", help="Where the files are: an address, or a folder.")]


@app.command()
def export(
    arch: Annotated[Arch, typer.Option(help="Depth of the ResNet.")] = Arch.RESNET18,
    weights: Annotated[
        str,
        typer.Option(help="`built-in`, `imagenet` (downloads), `untrained`, or the path of a checkpoint."),
    ] = IMAGENET,
    int8: Int8 = False,
    fp16: Fp16 = False,
    calibration: Calibration = None,
    seed: Annotated[int, typer.Option(min=0, help="Of untrained weights.")] = 0,
    readout: ReadoutKind = None,
    dimension: Dimension = 512,
    fit: Fit = None,
    out: Out = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Export a torchvision ResNet without its classifier, from weights in a file, downloaded, or random."""
    options = _Options(int8, fp16, calibration, readout, dimension, fit, out, data, as_json)
    _export(arch.value, weights, options, seed=seed, base=BASE_URL)


@app.command()
def fetch(
    arch: Annotated[Arch, typer.Argument(help="Depth of the ResNet.")],
    base: Base = BASE_URL,
    int8: Int8 = False,
    fp16: Fp16 = False,
    calibration: Calibration = None,
    readout: ReadoutKind = None,
    dimension: Dimension = 512,
    fit: Fit = None,
    out: Out = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Download torchvision's ImageNet weights, check them, and make an encoder of them. Needs no torch."""
    _export(
        arch.value,
        IMAGENET,
        _Options(int8, fp16, calibration, readout, dimension, fit, out, data, as_json),
        seed=0,
        base=base,
    )


@app.command()
def fit(
    arch: Annotated[Arch, typer.Option(help="Depth of the ResNet.")] = Arch.RESNET18,
    weights: Annotated[
        str, typer.Option(help="`built-in`, `imagenet` (downloads), `untrained`, or the path of a checkpoint.")
    ] = IMAGENET,
    int8: Int8 = False,
    fp16: Fp16 = False,
    dimension: Dimension = 512,
    out: Out = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an encoder whose readout is whitened on the frames of this library's videos. It is a new model version:
    `vidrec run --model` indexes all videos again with it."""
    options = _Options(int8, fp16, None, Readout.STAGES, dimension, None, out, data, as_json)
    frames = _library_frames(load_settings(data_dir=data))
    _export(arch.value, weights, options, seed=0, base=BASE_URL, library=frames)


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
    """List the models of the data folder, and which of them is active, prepared, or was active before."""
    from vidrec.model.manifest import stored_models

    settings = load_settings(data_dir=data)
    found, roles = stored_models(settings.models_dir), _roles(settings)
    if as_json:
        emit_json(
            [
                {**manifest.model_dump(mode="json", exclude={"canonical"}), "role": roles.get(manifest.version)}
                for manifest in found.values()
            ]
        )
        return
    for folder, manifest in found.items():
        role = roles.get(manifest.version, "")
        typer.echo(f"{manifest.version}  {manifest.name}  {manifest.dimension} values  {folder}  {role}".rstrip())
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


app.command()(model_change.activate)
app.command()(model_change.rollback)
app.command()(model_change.drop)


def _roles(settings: Settings) -> Mapping[str, str]:
    """Version -> `active`, `prepared` or `previous`; nothing where there is no catalogue yet."""
    from vidrec.bootstrap import open_database

    if not settings.database_url and not settings.data_dir.is_dir():
        return {}
    with closing(open_database(settings)) as database, database.snapshot() as uow:
        roles = uow.models.roles()
    named = {"previous": roles.previous, "prepared": roles.prepared, "active": roles.active}
    return {model.version: role for role, model in named.items() if model is not None}


@dataclass(frozen=True, slots=True)
class _Options:
    """What `export` and `fetch` share."""

    int8: bool
    fp16: bool
    calibration: Path | None
    readout: Readout | None
    dimension: int
    fit: Path | None
    out: Path | None
    data: Path | None
    as_json: bool


def _export(arch: str, weights: str, options: _Options, *, seed: int, base: str, library: Frames | None = None) -> None:
    from vidrec.model.export import export as export_model

    if options.int8 and options.fp16:
        raise InvalidInput("--int8 and --fp16 exclude each other", field="fp16")
    if options.calibration is not None and not options.int8:
        raise InvalidInput("--calibration is for --int8", field="calibration")
    if options.fit is not None and options.readout is not Readout.STAGES:
        raise InvalidInput("--fit is for --readout stages", field="fit")
    settings = load_settings(data_dir=options.data)
    fitting = _fitting(options, library)
    calibration = _frames(options.calibration, "calibration") if options.calibration else None
    source = str(_published(arch, base, settings)) if weights == IMAGENET else weights
    with stderr.status(f"exporting {arch}"):
        folder = export_model(
            arch,
            source,
            options.out or settings.models_dir,
            precision="int8" if options.int8 else "fp16" if options.fp16 else "fp32",
            seed=seed,
            calibration=calibration,
            fitting=fitting,
            own_readout=options.readout is not Readout.LAST,
        )
    _report(folder, options.as_json)


def _fitting(options: _Options, library: Frames | None) -> Fitting | None:
    from vidrec.model.encoder import Fitting

    if options.readout is not Readout.STAGES:
        return None
    if library is not None:
        return Fitting(options.dimension, library, f"{len(library)} frames of a library")
    if options.fit is None:
        return Fitting(options.dimension)
    return Fitting(options.dimension, _frames(options.fit, "fit"), f"pictures of {options.fit.name}")


def _library_frames(settings: Settings) -> Frames:
    """Frames of the videos in the data folder. InvalidInput where they are too few."""
    from vidrec.adapters.picture import read_picture
    from vidrec.application.library_frames import library_frames
    from vidrec.bootstrap import open_database, open_media_store

    least, most = PICTURES["fit"]
    if not settings.database_url and not (settings.data_dir / "vidrec.db").exists():
        raise InvalidInput(f"{settings.data_dir}: no library is there; `vidrec run` makes one", field="data")
    with closing(open_database(settings)) as database, stderr.status("reading frames of the library"):
        frames = library_frames(database, open_media_store(settings), read_picture, most=most)
    if len(frames) < least:
        raise InvalidInput(
            f"{settings.data_dir}: {len(frames)} frames of its videos; expected at least {least} to fit a readout on",
            field="data",
        )
    return frames


def _published(arch: str, base: str, settings: Settings) -> Path:
    """The file of torchvision's weights: in the folder `base`, kept from an earlier download, or downloaded now."""
    from vidrec.adapters.download import download
    from vidrec.model.published import FILES, check_published

    name = FILES[arch]
    if not base.startswith(("http://", "https://")):
        if not (Path(base) / name).is_file():
            raise InvalidInput(f"--from: {Path(base) / name} is not there", field="from")
        return Path(base) / name
    kept = settings.data_dir / "downloads" / name
    if not kept.is_file():
        url = f"{base.rstrip('/')}/{name}"
        with progress() as bar:
            task = bar.add_task(f"downloading {name}", total=None, note="")
            try:
                download(url, kept, check_published, lambda done, of: bar.update(task, completed=done, total=of))
            except Unavailable as error:
                raise Unavailable(
                    f"{error}; where there is internet, download {name} and name its folder by `vidrec model fetch "
                    f"{arch} --from FOLDER`"
                ) from None
    return kept


def _report(folder: Path, as_json: bool) -> None:
    from vidrec.model.manifest import load_model_dir

    manifest = load_model_dir(folder)
    if as_json:
        emit_json({"folder": str(folder), **manifest.model_dump(mode="json", exclude={"canonical"})})
        return
    say(f"{manifest.name}: {manifest.dimension} values a frame, version {manifest.version}, in {folder}")
    say(f"use it: vidrec model activate {folder}, or make run MODEL={folder}")


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
