"""A worker with a real SQL store and queue and fakes for what is outside, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tests.fakes.encoder import DIMENSION, FakeEncoder
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.index import FakeIndex
from tests.fakes.renderer import FakeRenderer
from tests.fakes.store import FakeStore
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application import pictures
from vidrec.application.jobs import index_job
from vidrec.application.worker import Worker
from vidrec.domain.models import (
    Job,
    ModelVersion,
    NewVideo,
    Segment,
    Video,
    VideoStatus,
    utc_now,
)

MODEL = ModelVersion(version="mtest00000000", name="test", dimension=DIMENSION, trained=False)
NEXT_MODEL = replace(MODEL, version="mnext00000000")
RED, BLUE, GREY = (200, 30, 30), (20, 40, 220), (127, 127, 127)
DEADLINE_S = 20.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.01)


class Clock:
    """A queue's clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self):  # type: ignore[no-untyped-def]
        return utc_now() + self.ahead


class Rig:
    """A worker and all that it works with."""

    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.clock = Clock()
        self.queue = SqliteQueue(database, clock=self.clock)
        self.index = FakeIndex()
        self.frames: FakeFrameSource = FakeFrameSource()
        self.encoder = FakeEncoder()
        self.store = FakeStore()
        self.renderer = FakeRenderer()
        self.activate(MODEL)

    def activate(self, model: ModelVersion) -> None:
        with self.database.transaction() as uow:
            uow.models.register(model)
            uow.models.activate(model.version)

    def add(self, name: str = "clip.webm", *, category: str | None = None) -> str:
        """A video that waits to be indexed; answers its id."""
        path = self.folder / name
        path.write_bytes(name.encode())
        with self.database.transaction() as uow:
            video = uow.catalogue.add(
                NewVideo(
                    location=path.as_uri(),
                    filename=name,
                    size_bytes=len(name),
                    content_sha256=name.ljust(64, "0"),
                    category=category,
                )
            )
            self.queue.enqueue(uow, [index_job(video.id)])
        return video.id

    def worker(self, **options: float) -> Worker:
        return Worker(
            self.database,
            self.queue,
            self.index,
            self.frames,
            self.encoder,
            self.store,
            renderer=self.renderer,
            **{"lease_s": 30.0, "poll_s": 0.01, **options},  # type: ignore[arg-type]
        )

    def work(self, **options: float) -> None:
        """Until no job is left."""
        self.worker(**options).run(threading.Event(), until_empty=True)

    @contextmanager
    def working(self, **options: float) -> Iterator[None]:
        """Beside the test; ended with the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self.worker(**options).run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def video(self, video_id: str) -> Video:
        with self.database.snapshot() as uow:
            return uow.catalogue.get([video_id])[video_id]

    def status(self, video_id: str) -> VideoStatus:
        return self.video(video_id).status

    def segments(self, video_id: str) -> Sequence[Segment]:
        return self.index.segments(MODEL, {video_id: 10_000}).get(video_id, [])

    def kept(self, video_id: str) -> list[str]:
        """Names of the pictures kept of a video."""
        prefix = pictures.prefix(video_id)
        return sorted(key.removeprefix(prefix) for key in self.store.objects if key.startswith(prefix))

    def job(self) -> Job:
        """The one job of the queue."""
        [job] = self.queue.list()
        return job
