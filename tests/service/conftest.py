"""The API as its clients meet it: a real server on a free port, real SQLite, fakes behind it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.fakes.store import FakeStore
from tests.library import MODEL, Library
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.local_uploads import LocalUploads
from vidrec.adapters.signing import Signer
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.api.app import create_app
from vidrec.api.server import make_server
from vidrec.application.access import Access, AccessPolicy
from vidrec.application.ports import JobQueue
from vidrec.application.services import Services
from vidrec.application.upload import UploadPolicy, Uploads
from vidrec.bootstrap import open_queue
from vidrec.domain.errors import InvalidInput, StoreUnavailable
from vidrec.domain.models import Embedding, Embeddings, Frames
from vidrec.settings import load_settings

FAMILIES = ("sea", "city", "forest", "desert")


class SwitchedDatabase:
    """A database that can be switched off."""

    def __init__(self, real: SqlDatabase) -> None:
        self._real = real
        self.available = True

    def __getattr__(self, name: str) -> Any:
        if not self.available:
            raise StoreUnavailable("the SQL store does not answer: switched off by the test")
        return getattr(self._real, name)


class PointingEncoder:
    """Answers the embedding that the test points it at, or fails as the test says."""

    def __init__(self) -> None:
        self.target: Embedding | None = None
        self.error: Exception | None = None

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        if self.error is not None:
            raise self.error
        assert frames.shape == (1, 224, 224, 3)
        assert self.target is not None
        assert model_version == MODEL.version
        return self.target[np.newaxis]

    def describe(self) -> dict[str, Any]:
        return {"model_version": MODEL.version}


def read_picture(data: bytes) -> Frames:
    """Takes what starts with `picture` for a picture."""
    if not data.startswith(b"picture"):
        raise InvalidInput("file is not a picture that can be read", field="file")
    return np.zeros((1, 224, 224, 3), dtype=np.uint8)


@dataclass
class System:
    """A running API and what is behind it."""

    library: Library
    database: SwitchedDatabase
    queue: JobQueue
    store: FakeStore
    encoder: PointingEncoder
    services: Services
    client: httpx.Client
    port: int
    folder: Path

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer that must be a success."""
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def post_events(self, *events: dict[str, Any]) -> Any:
        response = self.client.post("/events", json=list(events))
        assert response.status_code == 202, response.text
        return response.json()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to be copied."""
    path = tmp_path_factory.mktemp("sql") / "vidrec.db"
    migrate(f"sqlite:///{path}")
    return path


Start = Callable[..., AbstractContextManager[System]]


@pytest.fixture(scope="session")
def start_system(migrated: Path) -> Start:
    """Runs a system in a folder for the time of a block. `auth`: clock of its keys; without it none is needed."""

    @contextmanager
    def start(folder: Path, **options: Any) -> Iterator[System]:
        url = options.pop("database_url", None) or f"sqlite:///{shutil.copy(migrated, folder / 'vidrec.db')}"
        real = SqlDatabase(url)
        library = Library(real)
        for name in options.pop("families", FAMILIES):
            library.add_family(name, 8)
        database, queue, encoder = SwitchedDatabase(real), open_queue(load_settings(), real), PointingEncoder()
        elsewhere = options.pop("media_store", None)
        store = elsewhere or FakeStore()
        database.available = options.pop("sql_available", True)
        media = folder / "media"
        upload_store = options.pop("upload_store", None) or LocalUploads(media, folder / "upload.secret")
        receiver = None if elsewhere else upload_store
        policy = options.pop("upload_policy", UploadPolicy(suffixes=frozenset({".webm", ".mp4"})))
        uploads = Uploads(database, queue, elsewhere or LocalStore(media), upload_store, receiver, policy)  # type: ignore[arg-type]
        services = Services.compose(
            database=database,  # type: ignore[arg-type]
            index=library.index,
            queue=queue,
            store=store,
            encoder=encoder,
            read_picture=read_picture,
            uploads=uploads,
            popular_refresh_s=0.2,
        )
        if (clock := options.pop("auth", None)) is not None:
            signer = partial(Signer, folder / "upload.secret")
            given = options.pop("access_policy", AccessPolicy(believe_s=0.3))
            options["access"] = Access(database, signer, given, clock=clock)  # type: ignore[arg-type]
        server = make_server(create_app(services, popular_refresh_s=0.2, **options))
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                yield System(library, database, queue, store, encoder, services, client, port, folder)
        finally:
            server.should_exit = True
            thread.join()
            listening.close()
            real.close()

    return start


@pytest.fixture
def system(start_system: Start, tmp_path: Path) -> Iterator[System]:
    """A system of one test's own."""
    with start_system(tmp_path) as system:
        yield system


@pytest.fixture(scope="module")
def shared(start_system: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system for tests that only read, or only write what no other test reads."""
    with start_system(tmp_path_factory.mktemp("shared")) as system:
        yield system
