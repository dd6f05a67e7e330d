"""`vidrec model train` and `vidrec model pictures`"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidrec.cli.console import emit_json, progress, say, stderr
from vidrec.domain.errors import InvalidInput

if TYPE_CHECKING:
    from vidrec.model.training.loop import Progress, Training
    from vidrec.model.training.measure import TuningSet

FITTING_PICTURES, FITTING_SEED = 512, 1
NEEDS = (
    "needs torch and OpenCV, which serving does not: `make train-env`, then "
    "`.venv-train/bin/vidrec model {command} ...`"
)


class TrainArch(StrEnum):
    """Depths that can be trained."""

    RESNET18 = "resnet18"
    RESNET34 = "resnet34"
    RESNET50 = "resnet50"


def pictures(
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")],
    rows: Annotated[int, typer.Option(min=1, max=64)] = 12,
    columns: Annotated[int, typer.Option(min=1, max=32)] = 6,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first program.")] = 0,
    side: Annotated[int, typer.Option(min=32, max=512, help="Pixels of a picture.")] = 96,
) -> None:
    """Write a contact sheet of generated pictures, two views of each program side by side."""
    from PIL import Image

    _need("pictures", "cv2")
    from vidrec.model.pictures.sheet import contact_sheet

    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise InvalidInput(f"--out: {out} ends in none of .png, .jpg, .webp", field="out")
    sheet = contact_sheet(seed, rows=rows, columns=columns, first=first, side=side)
    try:
        Image.fromarray(sheet).save(out)
    except OSError as error:
        raise InvalidInput(f"--out: {out} cannot be written ({error})", field="out") from None
    say(f"{rows * columns} programs in two views each, in {out}")


def train(
    out: Annotated[Path, typer.Option(help="Folder of the training; one that is there already is gone on with.")],
    minutes: Annotated[float | None, typer.Option(min=0, help="Ends after that long; Ctrl-C ends it too.")] = None,
    until: Annotated[int | None, typer.Option(min=1, help="Ends at this step.")] = None,
    anneal: Annotated[
        int | None, typer.Option(min=1, help="Steps with a falling rate, from the newest checkpoint, as a branch.")
    ] = None,
    tune: Annotated[
        Path | None, typer.Option(help="Folder of photographs in folders that are labels: tells how good it is.")
    ] = None,
    start_from: Annotated[Path | None, typer.Option("--from", help="Begins with another training's weights.")] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda` or `auto`.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that render; default: half the cores.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the network on a CPU; default: cores.")] = None,
    measure_every: Annotated[float, typer.Option(min=0, help="Minutes.")] = 10,
    save_every: Annotated[float, typer.Option(min=0, help="Minutes.")] = 5,
    arch: Annotated[TrainArch | None, typer.Option(help="Default: resnet18.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of pictures and weights; default: 0.")] = None,
    side: Annotated[int | None, typer.Option(help="Pixels a program is rendered at; default: 96.")] = None,
    crop: Annotated[int | None, typer.Option(help="Pixels that the network sees; default: 64.")] = None,
    batch: Annotated[int | None, typer.Option(help="Programs a step; default: 256.")] = None,
    window: Annotated[int | None, typer.Option(help="Programs held at a time; default: 8192.")] = None,
    reuse: Annotated[float | None, typer.Option(help="How often each is seen; default: 4.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 0.0015.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Train a ResNet on generated pictures alone. Goes on where it was; may be killed at any time."""
    _need("train", "torch", "torchvision", "cv2")
    from vidrec.model.training.configuration import settled
    from vidrec.model.training.device import choose_device
    from vidrec.model.training.loop import Limits, Training

    wanted: dict[str, Any] = {"arch": arch and arch.value, "seed": seed, "side": side, "crop": crop, "batch": batch}
    wanted |= {"window": window, "reuse": reuse, "learning_rate": learning_rate}
    configuration = settled(out, {name: value for name, value in wanted.items() if value is not None})
    chosen = choose_device(device, threads)
    tuning = _tuning_set(tune) if tune else None
    training = Training(out, configuration, device=chosen, workers=workers or _half_the_cores())
    if start_from is not None:
        training.start_from(start_from)
    limits = Limits(minutes, until, save_every=save_every, measure_every=measure_every)
    last = _follow(training, limits, tuning, anneal)
    if as_json:
        told = {"folder": str(out), "step": last.step, "pictures": last.pictures, "loss": last.loss}
        emit_json({**told, **last.measured})
    say(_line(last))


def pack(
    training: Annotated[Path, typer.Argument(help="Folder of a training.")],
    out: Annotated[Path, typer.Option(help="Folder to write to, such as src/vidrec/model/weights.")],
    dimension: Annotated[int, typer.Option(min=2, help="Values an embedding.")] = 512,
) -> None:
    """Make of a training's newest checkpoint what the package ships: weights with readout, int8 graph, card."""
    _need("pack", "torch", "torchvision", "cv2")
    from vidrec.model.training.pack import pack as pack_training

    with stderr.status("fitting the readout"):
        card = pack_training(training, out, dimension=dimension)
    say(f"{card.arch}, {card.origin}: {card.dimension} values a frame, in {out}")


def _follow(training: Training, limits: Any, tuning: TuningSet | None, anneal: int | None) -> Progress:
    import time

    told = time.monotonic()
    with progress() as bar:
        task = bar.add_task("training", total=limits.until, note="")

        def tell(now: Progress) -> None:
            nonlocal told
            bar.update(task, completed=now.step, note=f"loss {now.loss:.3f}, {now.per_second:.0f} pictures/s")
            if now.measured or (not sys.stderr.isatty() and time.monotonic() - told > 60):
                told = time.monotonic()
                say(_line(now))

        if anneal is not None:
            return training.anneal(anneal, limits, tuning, tell)
        return training.run(limits, tuning, tell)


def _line(now: Progress) -> str:
    measures = "".join(f", {name.replace('_', ' ')} mAP {value:.3f}" for name, value in now.measured.items())
    return f"step {now.step}, {now.pictures:,} pictures, {now.per_second:.0f}/s, loss {now.loss:.3f}{measures}"


def _need(command: str, *modules: str) -> None:
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in modules):
        raise InvalidInput(f"`vidrec model {command}` {NEEDS.format(command=command)}")


def _half_the_cores() -> int:
    import os

    return max(1, len(os.sched_getaffinity(0)) // 2)


def _tuning_set(folder: Path) -> TuningSet:
    import numpy as np

    from vidrec.adapters.labelled_pictures import read_labelled_pictures
    from vidrec.domain.halves import Half
    from vidrec.model.pictures import render
    from vidrec.model.training.measure import TuningSet

    found = read_labelled_pictures(folder, field="tune", half=Half.TUNING)
    for sentence in found.unreadable:
        say(f"left out: {sentence}")
    fitting = np.stack([render(FITTING_SEED, number, 0, side=224) for number in range(FITTING_PICTURES)])
    return TuningSet(found.frames, found.labels, fitting)
