"""The weights that come with the package, where it has them: trained by the project on pictures that it generates.

One folder: the weights with their readout (safetensors), the int8 graph that a CPU is served with, and a card with
their checksums and vectors that prove them. `vidrec model pack` writes it. onnx is imported only where the graph is
read: every start looks here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from vidrec.domain.errors import InvalidModel
from vidrec.model.manifest import CanonicalVectors, sha256_of

if TYPE_CHECKING:
    import onnx

FOLDER = Path(__file__).parent / "weights"
CARD_FILE, WEIGHTS_FILE, INT8_FILE = "built-in.json", "built-in.safetensors", "built-in.int8.onnx"
NAME = "built-in"


class Card(BaseModel):
    """`built-in.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arch: str
    origin: str
    licence: str
    readout: str
    dimension: int
    step: int
    pictures: int
    sha256: dict[str, str]
    """By file name."""
    canonical: CanonicalVectors
    """Of the int8 graph."""


def has_built_in() -> bool:
    """Whether this package comes with weights."""
    return (FOLDER / CARD_FILE).is_file()


def read_card() -> Card:
    """The card, after the checksums of the files were found right. InvalidModel."""
    try:
        card = Card.model_validate_json((FOLDER / CARD_FILE).read_bytes())
        for name, expected in card.sha256.items():
            if sha256_of(FOLDER / name) != expected:
                raise InvalidModel(f"{FOLDER / name}: its bytes are not those that were shipped", field="weights")
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidModel(
            f"{FOLDER}: this package has no whole built-in weights ({reason}); take `imagenet`, `untrained` or a file",
            field="weights",
        ) from None
    return card


def weights_path() -> Path:
    """The weights with their readout, as safetensors."""
    return FOLDER / WEIGHTS_FILE


def int8_graph() -> onnx.ModelProto:
    """The graph that was quantised when the weights were packed, so that every machine has the same model version."""
    import onnx

    return onnx.load(FOLDER / INT8_FILE)


def default_weights() -> tuple[str, str]:
    """Architecture and weights of the default model, as `vidrec model export` takes them."""
    return (read_card().arch, NAME) if has_built_in() else ("resnet18", "untrained")
