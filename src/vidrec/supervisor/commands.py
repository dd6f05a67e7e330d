"""How each process is started: its command and the environment variables that are its own."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vidrec.domain.errors import NotFound
from vidrec.settings import Settings

Command = tuple[Sequence[str], Mapping[str, str]]
"""Arguments and environment variables."""


def milvus_command(settings: Settings, port: int) -> Command:
    """Milvus Lite's server on the folder of vectors."""
    from vidrec.adapters.milvus.lite import milvus_lite_command

    settings.vectors_dir.mkdir(parents=True, exist_ok=True)
    return milvus_lite_command(settings.vectors_dir, port), {}


def encoder_command(
    model: Path,
    *,
    port: int,
    home: Path,
    models: Path | None = None,
    host: str = "127.0.0.1",
    drain_s: float = 10.0,
) -> Command:
    """The BentoML service. `home` is where BentoML keeps its own files, so that it writes to no home folder;
    `models` the folder of further models, which it loads when they are named; `drain_s` how long it goes on with what
    was accepted once it is told to end."""
    command = [
        sys.executable,
        *("-m", "bentoml", "serve", "bento.encoder:Encoder"),
        *("--working-dir", str(_bento_folder().parent)),
        *("--host", host, "--port", str(port)),
        *("--timeout-graceful-shutdown", str(math.ceil(drain_s))),
    ]
    variables = {
        "VIDREC_ENCODER_MODEL": str(model.absolute()),
        "BENTOML_HOME": str(home.absolute()),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    if models is not None:
        variables["VIDREC_ENCODER_MODELS"] = str(models.absolute())
    return command, variables


def api_command() -> Command:
    """The API; everything it needs is in the settings."""
    return _vidrec("api")


def worker_command() -> Command:
    """The worker; everything it needs is in the settings. It gives its jobs back at once when it is told to end: who
    presses Ctrl-C does not want to wait."""
    arguments, _ = _vidrec("worker")
    return arguments, {"VIDREC_DRAIN_S": "0"}


def _vidrec(name: str) -> Command:
    return [sys.executable, "-m", "vidrec", name], {}


def _bento_folder() -> Path:
    """The folder `bento` of the checkout that vidrec runs from."""
    folder = Path(__file__).parents[3] / "bento"
    if not folder.is_dir():
        raise NotFound(
            "the encoder is started from a checkout of the project: there by `make run` or `vidrec encoder`; elsewhere "
            "it has an image of its own"
        )
    return folder
