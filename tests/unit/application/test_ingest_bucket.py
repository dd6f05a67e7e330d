"""Taking in a library that is in a bucket: real SQL store and queue, a list for the bucket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.library import MEDIA, MODEL
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application import ingest_bucket
from vidrec.application.ingest_bucket import BucketIngest, Shard, parse_shard
from vidrec.application.ports import ListedObject
from vidrec.domain.errors import FailureReason, InvalidInput
from vidrec.domain.models import VideoStatus


def listed(key: str, etag: str = "e", size: int = 5) -> ListedObject:
    return ListedObject(location=f"s3://films/{key}?etag={etag}", key=key, size=size)


@pytest.fixture
def ingest(database: SqlDatabase, queue: SqliteQueue) -> BucketIngest:
    return BucketIngest(database, queue)


def test_videos_become_videos_and_jobs(ingest: BucketIngest, database: SqlDatabase, queue: SqliteQueue) -> None:
    objects = [
        *(listed("cats/a.WEBM"), listed("b.mp4"), listed("cats/notes.txt"), listed("cats/.hidden/c.mp4")),
        *(listed("empty.mp4", size=0), listed("folder/", size=0)),
    ]
    seen: list[int] = []
    intake = ingest.add(objects, progress=seen.append)
    assert seen[-1] == len(objects)
    with database.snapshot() as uow:
        videos = uow.catalogue.get(intake.queued)
    assert [(v.filename, v.title, v.category, v.size_bytes, v.content_sha256) for v in videos.values()] == [
        ("a.WEBM", "a", "cats", 5, ""),
        ("b.mp4", "b", None, 5, ""),
    ]
    assert {job.video_id for job in queue.list()} == set(intake.queued)


def test_a_cut_is_gone_on_from(ingest: BucketIngest, queue: SqliteQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_bucket, "OBJECTS_A_TRANSACTION", 3)
    objects = [listed(f"{n}.mp4") for n in range(10)]

    def cut() -> Iterator[ListedObject]:
        yield from objects[:7]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest.add(cut())
    assert len(queue.list()) == 6
    assert len(ingest.add(objects).queued) == 10  # six that wait already
    assert len(queue.list()) == 10


def test_only_what_is_new_is_done(ingest: BucketIngest, database: SqlDatabase) -> None:
    [same, failed, replaced] = ingest.add([listed("a.mp4"), listed("b.mp4"), listed("c.mp4")]).queued
    with database.transaction() as uow:
        uow.models.register(MODEL)
        uow.models.activate(MODEL.version)
        for video_id in (same, replaced):
            uow.catalogue.mark_indexed(video_id, model_version=MODEL.version, media=MEDIA, segment_count=1)
        uow.catalogue.mark_failed(failed, FailureReason.GAVE_UP, "x")
    intake = ingest.add([listed("a.mp4"), listed("b.mp4"), listed("c.mp4", "other")])
    assert intake.already == [same]
    assert failed in intake.queued
    assert replaced not in intake.queued
    assert len(intake.queued) == 2
    with database.snapshot() as uow:
        assert uow.catalogue.get([failed])[failed].status is VideoStatus.QUEUED


def test_shards_part_a_library_in_about_equal_parts_that_do_not_change(ingest: BucketIngest) -> None:
    keys = [f"{n}.mp4" for n in range(3000)]
    parts = [{key for key in keys if Shard(i, 3).takes(key)} for i in range(3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 3000
    assert all(900 < len(part) < 1100 for part in parts)
    assert Shard(1, 3).takes("떡볶이.mp4") == (sum(Shard(i, 3).takes("떡볶이.mp4") * i for i in range(3)) == 1)
    assert len(ingest.add([listed(key) for key in keys[:50]], shard=Shard(0, 3)).queued) == len(
        [key for key in keys[:50] if key in parts[0]]
    )


NO_SHARDS = [
    ("4/4", None),
    ("-1/4", None),
    ("1", None),
    ("a/b", None),
    ("auto/4", None),
    ("auto/4", "4"),
    ("0/0", None),
]


def test_a_shard_is_named_or_that_of_an_indexed_job() -> None:
    assert parse_shard("2/4", None) == Shard(2, 4)
    assert parse_shard("auto/4", "3") == Shard(3, 4)


@pytest.mark.parametrize(("text", "index"), NO_SHARDS)
def test_other_shards_are_refused(text: str, index: str | None) -> None:
    with pytest.raises(InvalidInput, match="shard"):
        parse_shard(text, index)
