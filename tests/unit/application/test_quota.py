"""Quotas of keys, also where the store could refuse nothing beforehand."""

from __future__ import annotations

import pytest

from tests.unit.application.test_upload import DATA, Rig
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.access import Keys
from vidrec.application.upload import UploadPolicy
from vidrec.domain.access import Role
from vidrec.domain.errors import FailureReason, Overloaded, TooLarge
from vidrec.domain.models import VideoStatus


@pytest.fixture
def rig(database: SqlDatabase, queue: SqliteQueue) -> Rig:
    return Rig(database, queue)


def key_of(rig: Rig, quota: int | None) -> str:
    return Keys(rig.database).create(Role.PRODUCER, quota_bytes=quota)[0].id


def test_what_a_store_took_over_the_quota_is_removed_unprocessed(rig: Rig) -> None:
    key_id = key_of(rig, len(DATA))
    upload, _ = rig.sign(key_id=key_id)
    rig.store.objects[upload.key] = DATA + b"x"  # as a bare PUT to an S3 address
    rig.uploads.told(upload.bucket, upload.key)
    video = rig.video(upload)
    assert video is not None
    assert (video.status, video.failure_reason) == (VideoStatus.FAILED, FailureReason.TOO_LARGE)
    assert upload.key not in rig.store.objects
    again, signed = rig.sign(key_id=key_id, size=len(DATA))  # it takes nothing of the quota
    rig.put(again, signed)
    assert rig.status(again) is VideoStatus.QUEUED
    rig.uploads.told(again.bucket, again.key)  # once more: nothing happens
    assert rig.status(again) is VideoStatus.QUEUED
    with pytest.raises(TooLarge, match="0 of the 400 bytes"):
        rig.sign(key_id=key_id)


def test_announced_sizes_count_until_they_are_withdrawn(rig: Rig) -> None:
    key_id = key_of(rig, 10)
    upload = rig.uploads.begin(rig.announced(size=10, key_id=key_id))
    with pytest.raises(TooLarge, match="size: 0 of"):
        rig.sign(key_id=key_id, size=1)
    assert len(rig.store.pending) == 1  # nothing was begun for the one that was refused
    rig.uploads.end(upload.id)
    rig.sign(key_id=key_id, size=10)


def test_keys_without_a_quota_and_nobodys_uploads_have_none(rig: Rig) -> None:
    key_id = key_of(rig, None)
    for of in (key_id, None, "a key that is gone"):
        rig.sign(key_id=of, size=10**10)


def test_open_uploads_are_bounded_by_key_and_without_one(rig: Rig) -> None:
    uploads = rig.made(UploadPolicy(max_open=2))
    for of in (key_of(rig, None), key_of(rig, None), None):
        for _ in range(2):
            uploads.sign(rig.announced(key_id=of))
        with pytest.raises(Overloaded, match="2 uploads are announced"):
            uploads.sign(rig.announced(key_id=of))
        with pytest.raises(Overloaded):
            uploads.begin(rig.announced(key_id=of, size=5))
        assert rig.store.pending == {}
