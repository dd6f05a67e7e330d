"""The models that one encoder process holds: the one that it began with, and others that are named in calls and lie in
the folder of models. During a change of the model that is two; the one that nobody asks for goes when a third comes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bento import metrics
from bento.batcher import Batcher
from vidrec.domain.errors import InvalidInput, ModelVersionMismatch, VidrecError
from vidrec.model.manifest import MANIFEST_FILE, Manifest

log = logging.getLogger("bentoml.vidrec")

HELD = 2


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A model that is ready, with a queue of its own."""

    manifest: Manifest
    provider: str
    batcher: Batcher

    @property
    def version(self) -> str:
        return self.manifest.version


class HeldModels:
    """Used from the event loop of the service."""

    def __init__(
        self, load: Callable[[Path], HeldModel], first: Path, folder: Path | None, *, held: int = HELD
    ) -> None:
        """`load` opens a model's folder and returns when it has run. Raises what that raises for `first`."""
        self._load = load
        self._folder = folder
        self._most = held
        self.first = load(first)
        self._held = {self.first.version: self.first}  # least recently asked for first
        self._loading: dict[str, asyncio.Task[HeldModel]] = {}

    async def of(self, version: str) -> HeldModel:
        """The model of this version, loaded now where it is not held but lies in the folder. InvalidInput where none is
        named; ModelVersionMismatch where it is not there or cannot be loaded."""
        if not version:
            raise InvalidInput("model_version: name the model version as a query parameter", field="model_version")
        if version in self._held:
            self._held[version] = self._held.pop(version)
            return self._held[version]
        if version not in self._loading:
            if version not in self.versions():
                held = ", ".join(self._held)
                raise ModelVersionMismatch(f"this encoder holds model version {held}, not {version}")
            self._loading[version] = asyncio.create_task(self._add(version))
        return await asyncio.shield(self._loading[version])

    def versions(self) -> list[str]:
        """Those held and those that can be loaded."""
        found = {path.parent.name for path in self._folder.glob(f"*/{MANIFEST_FILE}")} if self._folder else set()
        return sorted(found | self._held.keys())

    def describe(self) -> Mapping[str, Any]:
        """The model that was there first, and the versions of all."""
        return {
            "model_version": self.first.version,
            "model_versions": self.versions(),
            "dimension": self.first.manifest.dimension,
            "name": self.first.manifest.name,
            "trained": self.first.manifest.trained,
            "provider": self.first.provider,
        }

    def close(self) -> None:
        """Encodes what waits."""
        for held in self._held.values():
            held.batcher.close()

    async def _add(self, version: str) -> HeldModel:
        assert self._folder is not None
        try:
            loaded = await asyncio.to_thread(self._load, self._folder / version)
        except VidrecError as error:
            log.error("model version %s cannot be loaded: %s", version, error)  # noqa: TRY400
            raise ModelVersionMismatch(f"model version {version} cannot be loaded: {error}") from error
        finally:
            del self._loading[version]
        self._held[version] = loaded
        while len(self._held) > self._most:
            gone = self._held.pop(next(iter(self._held)))
            metrics.INFO.labels(gone.version, gone.provider).set(0)
            log.info("giving up %s, which nobody asked for", gone.version)
            threading.Thread(target=gone.batcher.close, name="close", daemon=True).start()  # what waits is encoded
        return loaded
