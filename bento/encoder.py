"""`bentoml serve bento.encoder:Encoder`: frames in, embeddings out.

BentoML gives the process, readiness, packaging and images; frames come in over the raw-bytes routes of `bento.routes`
and are batched by `bento.batcher` (docs/adr/0003 says why not by BentoML's own)."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import bentoml

from bento import metrics
from bento.batcher import Batcher
from bento.models import HeldModel, HeldModels
from bento.routes import EncoderRoutes
from vidrec.adapters.onnx_encoder import OnnxEncoder
from vidrec.domain.errors import VidrecError
from vidrec.encoder_settings import EncoderSettings, load_encoder_settings
from vidrec.model.manifest import ONNX_FILE, load_model_dir
from vidrec.settings import load_settings
from vidrec.telemetry import Traces, configure_logging

log = logging.getLogger("bentoml.vidrec")

routes = EncoderRoutes()
# BentoML's main process imports this module before it starts its worker, which inherits the note.
_MAIN_PID = int(os.environ.setdefault("_VIDREC_ENCODER_MAIN_PID", str(os.getpid())))


@bentoml.service(
    name="encoder",
    workers=1,  # its models once in memory, one queue each; more processes are more replicas
    traffic={"timeout": 60},
    metrics={"enabled": False},  # ours are at /metrics; BentoML's count requests, not frames
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(routes, path="/")
class Encoder:
    """One model in one process, two during a change. Ready once the first has run: on a GPU at every batch size that it
    will see."""

    def __init__(self) -> None:
        _die_with_parent()
        try:
            load_settings()  # for what is misspelt
            settings = load_encoder_settings()
            if settings.log_format == "json":
                configure_logging("INFO", "json")
            self._models = HeldModels(partial(_load, settings), settings.model, settings.models)
        except VidrecError as error:
            # BentoML restarts a worker that dies and would print a traceback each time: say it once and end them all.
            sys.stderr.write(f"error: {error}\n")
            sys.stderr.flush()
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(2)
        routes.traces = Traces.from_environment("vidrec-encoder")
        routes.open(self._models)
        _refuse_new_work_on(signal.SIGTERM)

    async def __is_ready__(self) -> bool:
        return routes.ready

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def drain(self) -> None:
        """Encodes what was accepted; uvicorn waits for the answers to be sent."""
        self._models.close()
        routes.traces.close()


def _load(settings: EncoderSettings, folder: Path) -> HeldModel:
    manifest = load_model_dir(folder)
    encoder = OnnxEncoder(
        folder / ONNX_FILE,
        dimension=manifest.dimension,
        provider=settings.provider,
        threads=settings.threads or None,
        gpu_mem_limit=settings.gpu_mem_limit_mb << 20 if settings.provider == "cuda" else None,
    )
    encoder.warm_up()
    metrics.INFO.labels(manifest.version, encoder.provider).set(1)
    log.info("serving %s (%s) on %s", manifest.version, manifest.name, encoder.provider)
    return HeldModel(manifest, encoder.provider, Batcher(encoder.run, max_waiting=settings.queue))


def _die_with_parent() -> None:
    """A main process that is killed leaves no worker behind (prctl(2), PR_SET_PDEATHSIG), also one that was killed
    before this was called."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getpid() != _MAIN_PID != os.getppid():
        os._exit(0)


def _refuse_new_work_on(number: signal.Signals) -> None:
    """Readiness turns at the signal, not at the end of the drain: chained before uvicorn's own handler."""
    before: Any = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        routes.draining = True
        if callable(before):
            before(received, frame)

    signal.signal(number, handle)
