"""Settings of the encoder service. Every one is an environment variable `VIDREC_ENCODER_<NAME>`. Whoever starts it and
the service itself read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from vidrec.domain.errors import InvalidInput

ENV_PREFIX = "VIDREC_ENCODER_"
_OF_CALLERS = frozenset({"VIDREC_ENCODER_URLS", "VIDREC_ENCODER_TIMEOUT_S"})
"""Settings of those who call the encoder, in `vidrec.settings`."""


class EncoderSettings(BaseSettings):
    """Frozen; read once when the service starts."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    model: Path = Field(description="Folder of the model: model.onnx and manifest.json.")
    models: Path | None = Field(
        default=None,
        description="Folder of models, each in a folder named after its version: one that a call names is loaded, so "
        "that two are held while the model is changed.",
    )
    host: str = Field(default="127.0.0.1", description="Address on which `vidrec encoder` listens.")
    port: int = Field(default=3001, ge=1, le=65535, description="Port on which it does.")
    provider: Literal["cpu", "cuda"] = Field(default="cpu", description="`cuda` refuses to start without a GPU.")
    threads: int = Field(default=0, ge=0, description="Threads of one inference on the CPU; 0: all usable processors.")
    queue: int = Field(default=256, ge=64, description="Frames that may wait; more are refused with 429.")
    gpu_mem_limit_mb: int = Field(default=4096, ge=256, description="Limit of the CUDA memory arena.")
    log_format: Literal["text", "json"] = Field(
        default="text",
        validation_alias="VIDREC_LOG_FORMAT",
        description="That of all processes: `json` for one object a line.",
    )


def load_encoder_settings(**overrides: object) -> EncoderSettings:
    """From the environment; `overrides` that are not None win. InvalidInput names the variable that is wrong."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in EncoderSettings.model_fields} | _OF_CALLERS
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and name not in known:
            raise InvalidInput(f"{name} is not a setting of the encoder; known: {', '.join(sorted(known))}", field=name)
    try:
        return EncoderSettings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(str(part) for part in first["loc"][:1])
        name = field if field.startswith("VIDREC_") else ENV_PREFIX + field.upper()
        got = "" if first["type"] == "missing" else f" (got {first['input']!r})"
        raise InvalidInput(f"{name}: {first['msg']}{got}", field=name) from None
