"""Uploads: real SQL store and queue, a fake store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes.store import FakeStore
from tests.fakes.uploads import FakeUploads
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application import arrival as use_case
from vidrec.application.arrival import GRACE_S, Swept
from vidrec.application.erase import Eraser, finish_erase_video
from vidrec.application.jobs import ERASE_VIDEO
from vidrec.application.ports import ArrivedObject, SignedRequest
from vidrec.application.upload import Announced, UploadPolicy, Uploads
from vidrec.domain.errors import Conflict, FailureReason, InvalidInput, NotFound, StoreUnavailable, TooLarge
from vidrec.domain.models import Video, VideoStatus, utc_now
from vidrec.domain.uploads import MIN_PART, Upload, part_size, shown_name, suffix

DATA = b"film" * 100


class Rig:
    """Uploads and all that they work with."""

    def __init__(self, database: SqlDatabase, queue: SqliteQueue) -> None:
        self.database = database
        self.queue = queue
        self.media = FakeStore()
        self.store = FakeUploads()
        self.store.objects = self.media.objects
        self.uploads = self.made(UploadPolicy())

    def made(self, policy: UploadPolicy) -> Uploads:
        return Uploads(self.database, self.queue, self.media, self.store, self.store, policy)

    def announced(self, **more: Any) -> Announced:
        return Announced(**{"bucket": "videos", "filename": "a.webm", **more})

    def sign(self, **more: Any) -> tuple[Upload, SignedRequest]:
        return self.uploads.sign(self.announced(**more))

    def put(self, upload: Upload, signed: SignedRequest, data: bytes = DATA) -> None:
        query = dict(parse_qsl(urlsplit(signed.url).query))
        receiving = self.uploads.receive(upload.bucket, upload.key, query, content_type=None, content_length=None)
        try:
            receiving.write(data)
            receiving.finish()
        finally:
            receiving.discard()

    def video(self, upload: Upload) -> Video | None:
        with self.database.snapshot() as uow:
            return uow.catalogue.get([upload.video_id]).get(upload.video_id)

    def status(self, upload: Upload) -> VideoStatus | None:
        video = self.video(upload)
        return None if video is None else video.status

    def recorded(self, upload: Upload) -> Upload | None:
        with self.database.snapshot() as uow:
            return uow.uploads.get(upload.id)

    def jobs(self) -> list[str | None]:
        return [job.video_id for job in self.queue.list()]


@pytest.fixture
def rig(database: SqlDatabase, queue: SqliteQueue) -> Rig:
    return Rig(database, queue)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Puts the clock of the use cases forward."""

    def forward(seconds: float) -> None:
        def ahead() -> datetime:
            return utc_now() + timedelta(seconds=seconds)

        monkeypatch.setattr(use_case, "utc_now", ahead)

    return forward


# ----------------------------------------------------------------------------------------------- arrival


def test_arrival_is_one_transaction(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    upload, signed = rig.sign()

    def broken(*_: object) -> None:
        raise StoreUnavailable("the queue does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(rig.queue, "enqueue", broken)
        with pytest.raises(StoreUnavailable):
            rig.put(upload, signed)
    assert (rig.status(upload), rig.jobs()) == (VideoStatus.UPLOADING, [])
    recorded = rig.recorded(upload)
    assert recorded is not None
    assert recorded.arrived_at is None


def test_told_twice_is_told_once(rig: Rig) -> None:
    upload, signed = rig.sign()
    rig.put(upload, signed)
    found = rig.store.stat(upload.bucket, upload.key)
    assert found is not None
    for _ in range(2):
        rig.uploads.arrived(upload, found)
    assert rig.jobs() == [upload.video_id]
    with rig.database.transaction() as uow:
        uow.catalogue.mark_processing(upload.video_id)
    rig.uploads.arrived(upload, found)
    assert rig.status(upload) is VideoStatus.PROCESSING


def test_a_second_put_takes_over_what_the_first_left(rig: Rig) -> None:
    upload, signed = rig.sign()
    rig.store.objects[upload.key] = DATA  # stored, and then the process was killed
    with pytest.raises(Conflict):
        rig.put(upload, signed, b"other")
    assert (rig.status(upload), rig.jobs()) == (VideoStatus.QUEUED, [upload.video_id])


@pytest.mark.parametrize(("size", "reason"), [(0, FailureReason.EMPTY), ((20 << 30) + 1, FailureReason.TOO_LARGE)])
def test_what_a_store_could_not_refuse_is_failed_unprocessed(rig: Rig, size: int, reason: FailureReason) -> None:
    upload, _ = rig.sign()
    rig.store.objects[upload.key] = b"x"
    rig.uploads.arrived(upload, ArrivedObject(size=size, etag="e", sha256=None))
    video = rig.video(upload)
    assert video is not None
    assert (video.status, video.failure_reason) == (VideoStatus.FAILED, reason)
    assert (rig.jobs(), rig.store.objects) == ([], {})


def test_the_notification_of_a_store_may_come_at_any_time(rig: Rig) -> None:
    upload, _ = rig.sign()
    for _ in range(2):
        rig.uploads.told(upload.bucket, upload.key)  # before the object can be seen
        rig.uploads.told(upload.bucket, "originals/unknown")
    assert rig.status(upload) is VideoStatus.UPLOADING
    rig.store.objects[upload.key] = DATA
    for _ in range(2):
        rig.uploads.told(upload.bucket, upload.key)
    assert (rig.status(upload), rig.jobs()) == (VideoStatus.QUEUED, [upload.video_id])
    recorded, found = rig.recorded(upload), rig.store.stat(upload.bucket, upload.key)
    assert recorded is not None
    assert found is not None
    assert recorded.etag == found.etag
    Eraser(rig.database, rig.queue).erase_video(upload.video_id)
    rig.uploads.told(upload.bucket, upload.key)


def test_deleting_a_video_removes_its_original(rig: Rig) -> None:
    upload, signed = rig.sign()
    other, other_signed = rig.sign()
    rig.put(upload, signed)
    rig.put(other, other_signed)
    Eraser(rig.database, rig.queue).erase_video(upload.video_id)
    job = rig.queue.lease([ERASE_VIDEO], lease_s=30)
    assert job is not None

    class NoIndex:
        def delete(self, *_: object) -> None: ...

    finish_erase_video(job, database=rig.database, queue=rig.queue, index=NoIndex(), store=rig.media)  # type: ignore[arg-type]
    assert list(rig.store.objects) == [other.key]


# ------------------------------------------------------------------------------------------------ sweep


def test_a_sweep_takes_over_what_arrived(rig: Rig) -> None:
    told, signed = rig.sign()
    rig.put(told, signed)
    untold, _ = rig.sign(external_id="x", title="A title")
    rig.store.objects[untold.key] = DATA
    in_parts = rig.uploads.begin(Announced(bucket="videos", filename="b.webm", size=len(DATA)))
    rig.store.objects[in_parts.key] = DATA
    assert rig.uploads.sweep() == Swept(arrived=2)
    assert rig.uploads.sweep() == Swept()
    video = rig.video(untold)
    assert video is not None
    assert (video.status, video.size_bytes) == (VideoStatus.QUEUED, len(DATA))
    assert video.content_sha256 == hashlib.sha256(DATA).hexdigest()
    assert sorted(map(str, rig.jobs())) == sorted([told.video_id, untold.video_id, in_parts.video_id])


def test_a_sweep_withdraws_what_never_came(rig: Rig, later: Any) -> None:
    single, _ = rig.sign(external_id="mine")
    parts = rig.uploads.begin(Announced(bucket="videos", filename="b.webm", size=MIN_PART + 1))
    later(900 + GRACE_S - 60)
    assert rig.uploads.sweep() == Swept()
    later(900 + GRACE_S + 60)
    assert rig.uploads.sweep() == Swept(withdrawn=1)
    assert rig.video(single) is None
    assert rig.recorded(single) is None
    assert rig.status(parts) is VideoStatus.UPLOADING
    rig.sign(external_id="mine")  # free again
    later(86_400 + GRACE_S + 60)
    assert rig.uploads.sweep().withdrawn == 2
    assert rig.store.pending == {}
    assert rig.video(parts) is None
    with pytest.raises(NotFound):
        rig.uploads.parts(parts.id)


def test_a_sweep_leaves_what_is_coming_in(rig: Rig, later: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upload, _ = rig.sign()
    later(900 + GRACE_S + 60)
    monkeypatch.setattr(rig.store, "receiving", lambda bucket, key: key == upload.key)
    assert rig.uploads.sweep() == Swept()
    assert rig.status(upload) is VideoStatus.UPLOADING


def test_a_sweep_removes_what_came_for_a_deleted_video(rig: Rig) -> None:
    upload, signed = rig.sign()
    parts = rig.uploads.begin(Announced(bucket="videos", filename="b.webm", size=5))
    for video_id in (upload.video_id, parts.video_id):
        Eraser(rig.database, rig.queue).erase_video(video_id)
    rig.store.objects[upload.key] = DATA
    assert rig.uploads.sweep() == Swept(withdrawn=2)
    assert (rig.store.objects, rig.store.pending) == ({}, {})
    with pytest.raises(NotFound):
        rig.put(upload, signed)
    assert rig.store.objects == {}


def test_a_sweep_goes_through_any_number(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "_SWEPT_AT_ONCE", 3)
    uploads = [rig.sign()[0] for _ in range(10)]
    for upload in uploads[::2]:
        rig.store.objects[upload.key] = DATA
    assert rig.uploads.sweep() == Swept(arrived=5)


# ----------------------------------------------------------------------------------------- announcements


def test_a_failed_announcement_leaves_no_upload_in_parts(rig: Rig) -> None:
    rig.sign(external_id="mine")
    with pytest.raises(Conflict):
        rig.uploads.begin(Announced(bucket="videos", filename="b.webm", size=5, external_id="mine"))
    assert rig.store.pending == {}


def test_what_is_taken_is_a_matter_of_the_policy(rig: Rig) -> None:
    policy = UploadPolicy(buckets=("one", "two"), suffixes=frozenset({".webm", ".mp4"}), max_bytes=10)
    rig.uploads = rig.made(policy)
    rig.sign(bucket="two", filename="a.MP4", size=10)
    for error, wrong in (
        (InvalidInput, {"bucket": "videos"}),
        (InvalidInput, {"bucket": "one", "filename": "a.mkv"}),
        (TooLarge, {"bucket": "one", "size": 11}),
    ):
        with pytest.raises(error) as refused:
            rig.sign(**wrong)
        assert refused.value.field in list(wrong)[-1:]


@pytest.mark.parametrize(
    ("size", "part", "parts"),
    [
        (1, MIN_PART, 1),
        (MIN_PART, MIN_PART, 1),
        (MIN_PART + 1, MIN_PART, 2),
        (10_000 * MIN_PART, MIN_PART, 10_000),
        (10_000 * MIN_PART + 1, MIN_PART + (1 << 20), 8889),
        (5 << 40, 525 << 20, 9987),
    ],
)
def test_parts_are_as_small_as_their_number_allows(rig: Rig, size: int, part: int, parts: int) -> None:
    assert part_size(size) == part
    upload = replace(rig.sign()[0], size=size, part_size=part)
    assert upload.parts == parts
    assert sum(upload.size_of(number) for number in range(1, parts + 1)) == size
    assert upload.size_of(parts) >= 1


@pytest.mark.parametrize(
    ("name", "shown", "ending"),
    [
        ("a.webm", "a.webm", ".webm"),
        ("C:\\a\\b.MP4", "b.MP4", ".mp4"),
        ("../..", "..", "."),
        ("a/", "", ""),
        ("\0", "", ""),
        ("떡.webm", "떡.webm", ".webm"),
        ("\u202egpj.webm", "gpj.webm", ".webm"),
        ("noending", "noending", ""),
    ],
)
def test_names(name: str, shown: str, ending: str) -> None:
    assert shown_name(name) == shown
    assert suffix(shown_name(name)) == ending
