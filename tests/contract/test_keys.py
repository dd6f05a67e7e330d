"""Keys in SQL, and what was uploaded with each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.contract.sql import new_video
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.access import ApiKey, Role, digest_of, new_key
from vidrec.domain.errors import FailureReason
from vidrec.domain.models import VideoStatus, new_id, utc_now
from vidrec.domain.uploads import Upload


def added(database: SqlDatabase, **more: object) -> ApiKey:
    key_id, text = new_key()
    key = ApiKey(id=key_id, name="shop", role=Role.PRODUCER, digest=digest_of(text), created_at=utc_now())
    key = replace(key, **more)  # type: ignore[arg-type]
    with database.transaction() as uow:
        uow.keys.add(key)
    return key


def uploaded(database: SqlDatabase, key_id: str | None, size: int, *, arrived: bool = True) -> Upload:
    """A video that was uploaded with the key, or is to be."""
    now = utc_now()
    upload = Upload(
        id=new_id(),
        video_id=new_id(),
        bucket="videos",
        key=new_id(),
        size=size,
        sha256=None,
        part_size=None,
        store_id=None,
        created_at=now,
        expires_at=now + timedelta(minutes=15),
        arrived_at=None,
        key_id=key_id,
    )
    with database.transaction() as uow:
        uow.catalogue.add(new_video(size_bytes=size), video_id=upload.video_id, status=VideoStatus.UPLOADING)
        uow.uploads.add(upload)
        if arrived:
            uow.catalogue.receive(upload.video_id, location="media:///k", size_bytes=size, content_sha256="0" * 64)
            uow.uploads.mark_arrived(upload.id, now, etag="e")
    return upload


def test_a_key_is_kept_as_it_is(database: SqlDatabase) -> None:
    plain = added(database)
    whole = added(
        database,
        role=Role.CONSUMER,
        name="이름",
        user_id="mina",
        rate_per_minute=0,
        quota_bytes=10**15,
        digest="f" * 64,
    )
    with database.transaction() as uow:
        assert uow.keys.get(plain.id) == uow.keys.lock(plain.id) == plain
        assert uow.keys.get(whole.id) == whole
        assert uow.keys.all() == [plain, whole]
        assert uow.keys.get("nobody") is uow.keys.lock("nobody") is None


def test_a_key_is_revoked_once_and_stays_in_the_list(database: SqlDatabase) -> None:
    key, at = added(database), utc_now()
    with database.transaction() as uow:
        assert uow.keys.revoke(key.id, at)
        assert not uow.keys.revoke(key.id, at + timedelta(hours=1))
        assert not uow.keys.revoke("nobody", at)
    with database.snapshot() as uow:
        assert uow.keys.all() == [replace(key, revoked_at=at)]


def test_uploads_remember_their_key(database: SqlDatabase) -> None:
    key = added(database)
    own, nobodys = uploaded(database, key.id, 5), uploaded(database, None, 5)
    with database.snapshot() as uow:
        assert uow.keys.uploader(own.video_id) == key.id
        assert uow.keys.uploader(nobodys.video_id) is None
        assert uow.keys.uploader(new_id()) is None
        found = uow.uploads.get(own.id)
        assert found is not None
        assert found.key_id == key.id


def test_open_uploads_are_counted_by_key_up_to_a_limit(database: SqlDatabase) -> None:
    key, other = added(database), added(database)
    for of in (key.id, key.id, key.id, None, None):
        uploaded(database, of, 5, arrived=False)
    uploaded(database, key.id, 5)
    with database.snapshot() as uow:
        counts = [uow.keys.open_uploads(of, 100) for of in (key.id, other.id, None)]
        assert counts == [3, 0, 2]
        assert uow.keys.open_uploads(key.id, 2) == 2


def test_bytes_are_counted_until_their_video_is_deleted(database: SqlDatabase) -> None:
    key, other = added(database), added(database)
    uploaded(database, key.id, 10**12)
    deleted = uploaded(database, key.id, 500)
    uploaded(database, key.id, 70, arrived=False)
    refused, broken = uploaded(database, key.id, 9000), uploaded(database, key.id, 3)
    uploaded(database, other.id, 40)
    with database.transaction() as uow:
        assert uow.keys.bytes_kept(key.id) == 10**12 + 500 + 70 + 9000 + 3
        uow.catalogue.tombstone(deleted.video_id)
        uow.catalogue.mark_failed(refused.video_id, FailureReason.TOO_LARGE, "too large")
        uow.catalogue.mark_failed(broken.video_id, FailureReason.NOT_A_VIDEO, "no video")
        assert uow.keys.bytes_kept(key.id) == 10**12 + 70 + 3
        assert uow.keys.bytes_kept(other.id) == 40
        assert uow.keys.bytes_kept("nobody") == 0
