"""From a training's newest checkpoint to the folder that is shipped; see `vidrec.model.built_in`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import onnx
from safetensors.numpy import load

from vidrec.domain.errors import InvalidInput
from vidrec.model.built_in import CARD_FILE, INT8_FILE, NAME, WEIGHTS_FILE, Card
from vidrec.model.encoder import in_precision
from vidrec.model.export import checked
from vidrec.model.fit import GENERATED, fitting_pictures, readout_of
from vidrec.model.library import LEAST_COSINE
from vidrec.model.manifest import canonical_vectors, sha256_of
from vidrec.model.training import checkpoint
from vidrec.model.training.configuration import CONFIGURATION_FILE, Configuration
from vidrec.model.training.loop import ANNEALED
from vidrec.model.weights_file import encoded, split_readout

LICENCE = "Apache-2.0, as the project: trained on pictures that the project generates, nothing that anyone else made"
CALIBRATION = 128
"""Of the generated pictures, those that set int8's value ranges."""


def pack(folder: Path, out: Path, *, dimension: int) -> Card:
    """Writes weights, int8 graph and card of the newest checkpoint to `out`, each file whole or not at all, and answers
    the card. The annealed branch is taken where there is a finished one. InvalidInput where there is no checkpoint."""
    state, configuration = _newest(folder)
    arch, step = configuration.arch, int(state["step"])
    side = state["network"] if state["anneal"] else state["average"]
    encoder = {name: value.numpy() for name, value in side.items() if name.startswith("encoder.")}
    exact = checked({name.removeprefix("encoder."): value for name, value in encoder.items()}, arch, str(folder))
    seen = 2 * step * configuration.batch
    pictures = fitting_pictures()
    notes = {
        "name": NAME,
        "arch": arch,
        "origin": f"trained by vidrec on {seen:,} views of generated pictures, seed {configuration.seed}",
        "licence": LICENCE,
        "readout": f"{GENERATED} generated pictures",
    }
    # fitted to the weights as they are stored, rounded to float16, and stored in turn
    rounded = checked(load(encoded(exact, None, {})), arch, str(folder))
    content = encoded(exact, readout_of(arch, rounded, pictures, dimension=dimension), notes)
    network, readout = split_readout(load(content), str(out))
    graph = in_precision(arch, checked(network, arch, str(out)), "int8", pictures[:CALIBRATION], readout=readout)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=out) as scratch:
        made = Path(scratch)
        (made / WEIGHTS_FILE).write_bytes(content)
        onnx.save(graph, made / INT8_FILE)
        card = Card(
            arch=arch,
            origin=notes["origin"],
            licence=LICENCE,
            readout=notes["readout"],
            dimension=dimension,
            step=step,
            pictures=seen,
            sha256={name: sha256_of(made / name) for name in (WEIGHTS_FILE, INT8_FILE)},
            canonical=canonical_vectors(made / INT8_FILE, least_cosine=LEAST_COSINE["int8"]),
        )
        (made / CARD_FILE).write_text(card.model_dump_json(indent=1) + "\n")
        for name in (WEIGHTS_FILE, INT8_FILE, CARD_FILE):  # the card last: it vouches for the others
            os.replace(made / name, out / name)
    return card


def _newest(folder: Path) -> tuple[dict[str, Any], Configuration]:
    path = folder / CONFIGURATION_FILE
    branch = checkpoint.load_latest(folder / ANNEALED) if (folder / ANNEALED).is_dir() else None
    finished = branch is not None and branch["anneal"] is not None and branch["step"] >= sum(branch["anneal"])
    state = branch if finished else checkpoint.load_latest(folder)
    if state is None or not path.is_file():
        raise InvalidInput(
            f"{folder}: holds no checkpoint; expected a folder of `vidrec model train`", field="training"
        )
    return dict(state), Configuration.model_validate_json(path.read_bytes())
