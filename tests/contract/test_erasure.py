"""Erasing, on both databases with a real vector index and a folder: whoever is killed or busy meanwhile, what the
receipt says is so."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.sql import new_video
from tests.fakes.encoder import DIMENSION, FakeEncoder
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.renderer import FakeRenderer
from tests.servers import Server
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql import SqlDatabase
from vidrec.application import originals, partials, pictures, render_video
from vidrec.application.erase import Eraser, user_subject
from vidrec.application.erasure_audit import Audited, audit
from vidrec.application.jobs import index_job
from vidrec.application.ports import Look, Receipt
from vidrec.application.worker import Worker
from vidrec.bootstrap import open_queue
from vidrec.cli import main
from vidrec.domain.embedding import normalise
from vidrec.domain.models import (
    Interaction,
    InteractionType,
    ModelVersion,
    Segment,
    TimeRange,
    VideoVector,
    new_id,
    utc_now,
)
from vidrec.settings import load_settings

pytestmark = pytest.mark.timeout(120)

LEASE_S = 1.0
MOMENTS = {
    "before the vectors": "MilvusIndex.delete = die",
    "before the objects": "LocalStore.delete = die",
    "before the rows": "SqlCatalogue.scrub = die",
    "before the look": "LocalStore.count = die",
    "in the receipt": "SqlReceipts.complete = die",
}
_CHILD = """
import os, signal, sys
sys.path[:] = {path!r}
from pathlib import Path
from tests.contract.test_erasure import Rig
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql.catalogue import SqlCatalogue
from vidrec.adapters.sql.receipts import SqlReceipts

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

rig = Rig({url!r}, {uri!r}, Path({folder!r}), {version!r})
{moment}
rig.work()
raise SystemExit("was to be killed")
"""


class Rig:
    """The stores, as a process opens them, and workers on them."""

    def __init__(self, url: str, uri: str, folder: Path, version: str) -> None:
        self.place = {"url": url, "uri": uri, "folder": str(folder), "version": version}
        self.database = SqlDatabase(url)
        self.queue = open_queue(load_settings(), self.database)
        self.store = LocalStore(folder / "media")
        self.index = MilvusIndex(uri, timeout_s=30.0)
        self.model = ModelVersion(version=version, name="test", dimension=DIMENSION, trained=False)
        self.kept = replace(self.model, version=f"{version}b")
        """A model version beside the active one."""

    def set_up(self) -> None:
        with self.database.transaction() as uow:
            for model in (self.kept, self.model):
                uow.models.register(model)
                uow.models.activate(model.version)
        for model in (self.kept, self.model):
            self.index.create(model)

    def add(self) -> str:
        """A video of which everything is kept that can be."""
        with self.database.transaction() as uow:
            video_id = uow.catalogue.add(new_video()).id
            uow.interactions.append(
                [
                    Interaction(
                        user_id="u", video_id=video_id, type=InteractionType.LIKE, ts=utc_now(), event_id=new_id()
                    )
                ]
            )
        embedding = normalise(np.ones(DIMENSION))
        segments = [
            Segment(video_id=video_id, number=n, time=TimeRange(n, n + 1.0), embedding=embedding) for n in range(3)
        ]
        vector = VideoVector(video_id=video_id, category=None, duration_s=3.0, embedding=embedding)
        for model in (self.kept, self.model):
            self.index.upsert(model, vector, segments)
        for prefix in (originals.prefix, render_video.prefix, pictures.prefix, partials.prefix):
            self.store.put(f"{prefix(video_id)}some.bin", b"data")
        return video_id

    def work(self, until: threading.Event | None = None) -> None:
        """Until no job is left."""
        Worker(
            self.database,
            self.queue,
            self.index,
            FakeFrameSource(),
            FakeEncoder(self.model.version),
            self.store,
            renderer=FakeRenderer(),
            lease_s=LEASE_S,
            poll_s=0.01,
        ).run(until or threading.Event(), until_empty=True)

    def die(self, moment: str) -> None:
        """Another process works and is killed."""
        program = _CHILD.format(path=sys.path, moment=moment, **self.place)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr

    def receipt(self, receipt_id: str) -> Receipt:
        return Eraser(self.database, self.queue).receipt(receipt_id)

    def check_that_nothing_is_left(self, video_id: str) -> None:
        for model in (self.kept, self.model):
            assert self.index.videos(model, [video_id], fresh=True) == {}
            assert self.index.segments(model, {video_id: 100}, fresh=True) == {}
        assert [path for path in Path(self.place["folder"]).rglob(f"*{video_id}*") if path.is_file()] == []
        with self.database.snapshot() as uow:
            assert set(uow.traces.of_videos([video_id])[video_id].values()) == {0}


@pytest.fixture
def rig(database_url: str, lite: Server, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, lite.uri, tmp_path, f"m{new_id().replace('-', '')[-12:]}")
    rig.set_up()
    yield rig
    for model in (rig.kept, rig.model):
        rig.index.drop(model)
    rig.index.close()
    rig.database.close()


def test_a_receipt_tells_where_it_was_looked_and_that_nothing_was_found(rig: Rig) -> None:
    video_id, other = rig.add(), rig.add()
    opened = Eraser(rig.database, rig.queue).erase_video(video_id)
    assert (opened.looked_at, opened.probes, opened.looks) == (None, 0, ())
    rig.work()
    receipt = rig.receipt(opened.id)
    assert receipt.completed_at is not None
    assert receipt.looked_at is not None
    assert (receipt.probes, receipt.remaining) == (1, 0)
    places = {(look.store, look.place) for look in receipt.looks}
    for model in (rig.kept, rig.model):
        assert {("vectors", model.videos_collection), ("vectors", model.segments_collection)} <= places
    assert {store for store, _ in places} == {"objects", "vectors", "rows", "jobs"}
    assert {("objects", f"pictures/{video_id}/"), ("rows", "recommendations"), ("rows", "interactions")} <= places
    rig.check_that_nothing_is_left(video_id)
    assert set(rig.index.held(rig.model, [video_id, other])) == {other}
    assert rig.store.count(pictures.prefix(other)) == 1


@pytest.mark.full
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_is_killed_in_the_middle_ends_in_a_verified_receipt(rig: Rig, moment: str) -> None:
    video_id = rig.add()
    receipt = Eraser(rig.database, rig.queue).erase_video(video_id)
    rig.die(MOMENTS[moment])
    assert rig.receipt(receipt.id).completed_at is None
    rig.work()
    done = rig.receipt(receipt.id)
    assert (done.completed_at is not None, done.remaining) == (True, 0)
    rig.check_that_nothing_is_left(video_id)


@pytest.mark.full
def test_what_a_busy_worker_wrote_before_it_was_killed_is_removed_too(rig: Rig) -> None:
    """It is deleted just before its vectors are written, by a worker that never gets to take them back."""
    with rig.database.transaction() as uow:
        video_id = uow.catalogue.add(new_video(location=Path(__file__).as_uri())).id
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.die(
        """
from vidrec.application.erase import Eraser
upsert = MilvusIndex.upsert
def late(index, model, video, segments):
    Eraser(rig.database, rig.queue).erase_video(video.video_id)
    upsert(index, model, video, segments)
    die()
MilvusIndex.upsert = late
"""
    )
    assert rig.index.held(rig.model, [video_id])
    rig.work()
    with rig.database.snapshot() as uow:
        [receipt] = uow.receipts.page(limit=10)
    assert (receipt.completed_at is not None, receipt.remaining) == (True, 0)
    rig.check_that_nothing_is_left(video_id)


def test_what_is_written_while_it_is_erased_is_seen_and_removed(rig: Rig) -> None:
    """A worker that works on it removes, waits until the other one has noticed, and looks only then."""
    with rig.database.transaction() as uow:
        video_id = uow.catalogue.add(new_video(location=Path(__file__).as_uri())).id
        rig.queue.enqueue(uow, [index_job(video_id)])
    assert rig.queue.lease(["index_video"], lease_s=60.0) is not None  # by a worker that writes late
    receipt = Eraser(rig.database, rig.queue).erase_video(video_id)
    removed = threading.Event()
    scrub = rig.index.delete

    def delete(model: ModelVersion, video_ids: list[str]) -> None:
        scrub(model, video_ids)
        if model == rig.model:
            removed.set()

    rig.index.delete = delete  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=rig.work)
    thread.start()
    assert removed.wait(30)
    embedding = normalise(np.ones(DIMENSION))
    segment = Segment(video_id=video_id, number=0, time=TimeRange(0.0, 1.0), embedding=embedding)
    vector = VideoVector(video_id=video_id, category=None, duration_s=1.0, embedding=embedding)
    rig.index.upsert(rig.model, vector, [segment])
    assert rig.receipt(receipt.id).completed_at is None
    thread.join(60)
    done = rig.receipt(receipt.id)
    assert (done.completed_at is not None, done.remaining) == (True, 0)
    rig.check_that_nothing_is_left(video_id)


def test_an_audit_finds_what_came_back(rig: Rig) -> None:
    video_id, other = rig.add(), rig.add()
    eraser = Eraser(rig.database, rig.queue)
    eraser.erase_video(video_id)
    eraser.erase_user("u")
    assert look(rig).pending == 1
    rig.work()
    found = look(rig)
    assert (found.videos, found.users, found.pending, found.back) == (1, 1, 0, ())
    rig.store.put(f"{pictures.prefix(video_id)}thumbnail.jpg", b"from a backup")
    with rig.database.transaction() as uow:
        for ts in (utc_now() - timedelta(days=1), utc_now() + timedelta(days=1)):  # the latter is a user who came back
            like = InteractionType.LIKE
            uow.interactions.append([Interaction(user_id="u", video_id=other, type=like, ts=ts, event_id=new_id())])
    back = {(one.kind, one.subject): one.looks for one in look(rig).back}
    assert back == {
        ("video", video_id): (Look("objects", f"pictures/{video_id}/", 1),),
        ("user", user_subject("u")): (Look("rows", "interactions", 1),),
    }
    eraser.erase_video(video_id)
    eraser.erase_user("u")
    rig.work()
    assert look(rig).back == ()


def look(rig: Rig) -> Audited:
    return audit(rig.database, rig.queue, rig.index, rig.store)


@pytest.mark.full
def test_the_commands(rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VIDREC_DATABASE_URL", rig.place["url"])
    monkeypatch.setenv("VIDREC_MILVUS_URI", rig.place["uri"])
    monkeypatch.setenv("VIDREC_DATA_DIR", rig.place["folder"])

    def told(*arguments: str, code: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as exit_:
            main(["erase", *arguments, "--json"])
        assert int(exit_.value.code or 0) == code
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    video_id = rig.add()
    assert told("video", video_id)["completed_at"] is None
    assert told("video", video_id, "--wait", "0.1", code=1)["looks"] == []
    assert told("user", "u")["completed_at"] is not None
    assert told("audit")["pending"] == 1
    rig.work()
    assert told("audit") == {"videos": 1, "users": 1, "pending": 0, "back": []}
    rig.store.put(f"{originals.prefix(video_id)}original.webm", b"from a backup")
    [back] = told("audit", code=1)["back"]
    assert (back["subject"], [one["found"] for one in back["looks"]]) == (video_id, [1])
    with pytest.raises(SystemExit) as exit_:
        main(["erase", "video", new_id()])
    assert exit_.value.code == 2
