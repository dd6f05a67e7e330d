"""`vidrec encoder`"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vidrec.cli.console import say
from vidrec.encoder_settings import load_encoder_settings
from vidrec.model.manifest import load_model_dir
from vidrec.settings import load_settings
from vidrec.supervisor.commands import encoder_command


def command(
    model: Annotated[Path | None, typer.Option(help="Folder of the model (VIDREC_ENCODER_MODEL).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (VIDREC_ENCODER_HOST).")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; 3001 by default (VIDREC_ENCODER_PORT).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder, for BentoML's own files (VIDREC_DATA_DIR).")] = None,
) -> None:
    """Serve the encoder until SIGTERM or Ctrl-C; what was accepted is encoded (VIDREC_DRAIN_S). Nobody is asked for a
    key: let only the API and the workers reach it."""
    settings = load_settings(data_dir=data)
    encoder = load_encoder_settings(model=model, host=host, port=port)
    served = load_model_dir(encoder.model)
    home = Path(os.environ.get("BENTOML_HOME") or settings.data_dir / "bentoml")
    home.mkdir(parents=True, exist_ok=True)
    arguments, variables = encoder_command(
        encoder.model, host=encoder.host, port=encoder.port, home=home, models=encoder.models, drain_s=settings.drain_s
    )
    say(f"vidrec encoder: http://{encoder.host}:{encoder.port} serves {served.name} ({served.version})")
    sys.stdout.flush()
    # Not a child: whoever started this process has the service itself under its id, signals and exit code included.
    os.execvpe(arguments[0], list(arguments), {**os.environ, **variables})
