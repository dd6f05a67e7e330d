"""What decides what a training becomes. It is kept in its folder, and another one is refused there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vidrec.domain.errors import InvalidInput

CONFIGURATION_FILE = "training.json"
GENERATOR = "1"
"""To be changed whenever the same program becomes another picture."""


class Configuration(BaseModel):
    """Every value that a resumed training must share with what it goes on from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arch: Literal["resnet18", "resnet34", "resnet50"] = "resnet18"
    seed: int = Field(default=0, ge=0)
    side: int = Field(default=96, ge=32, le=512)
    """Pixels that a program is rendered at."""
    crop: int = Field(default=64, ge=32, le=512)
    """Pixels that the network sees."""
    batch: int = Field(default=256, ge=8)
    """Programs a step; each gives two crops."""
    window: int = Field(default=8192, ge=64)
    """Programs that a batch is drawn from; it moves on with every step."""
    reuse: float = Field(default=4.0, gt=0)
    """How often a program is seen on average before it leaves the window."""
    learning_rate: float = Field(default=1.5e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warm_up: int = Field(default=200, ge=0)
    """Steps."""
    average: float = Field(default=0.998, ge=0, lt=1)
    """Share of the old that the running average of the weights keeps at each step."""
    generator: str = GENERATOR

    @model_validator(mode="after")
    def _fits(self) -> Configuration:
        if self.batch > self.window:
            raise ValueError("batch is greater than window")
        return self


def settled(folder: Path, wanted: dict[str, Any]) -> Configuration:
    """The configuration of a training in the folder: its own where there is one, which `wanted` must not contradict,
    else the defaults with `wanted`. InvalidInput."""
    path = folder / CONFIGURATION_FILE
    try:
        if not path.exists():
            return Configuration(**wanted)
        kept = Configuration.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        where = f"{path}: " if path.exists() else ""
        raise InvalidInput(f"{where}{_reason(error)}", field="out") from None
    for name, value in wanted.items():
        if getattr(kept, name) != value:
            raise InvalidInput(
                f"--{name.replace('_', '-')}: {folder} is a training with {getattr(kept, name)}, not {value}; take "
                f"another --out, with --from {folder} to go on from its weights",
                field=name,
            )
    if kept.generator != GENERATOR:
        raise InvalidInput(
            f"{folder}: its pictures were made by revision {kept.generator} of the generator, this release has "
            f"{GENERATOR}; take another --out, with --from {folder} to go on from its weights",
            field="out",
        )
    return kept


def _reason(error: ValidationError | OSError) -> str:
    if isinstance(error, OSError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'configuration'}: {first['msg']}"
