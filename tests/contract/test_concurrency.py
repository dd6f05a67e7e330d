"""Two transactions at once: what SQLite's single writer gives for nothing, PostgreSQL must give too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sqlalchemy import select

from tests.contract.sql import MEDIA, add, add_indexed, new_video
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sql.schema import video_stats
from vidrec.application.ingest import Ingest, find_files
from vidrec.application.jobs import index_job
from vidrec.application.ports import JobQueue, UnitOfWork, VideoChanges
from vidrec.domain.errors import Conflict
from vidrec.domain.models import (
    Interaction,
    InteractionType,
    Interest,
    ModelVersion,
    UserProfile,
    VideoStatus,
    new_id,
    utc_now,
)
from vidrec.domain.uploads import Stage, Upload, VideoProgress

T = TypeVar("T")
LOOK_S = 0.15
"""So long the second one has to go wrong before the first one commits."""


def meanwhile(
    database: SqlDatabase, first: Callable[[UnitOfWork], object], second: Callable[[UnitOfWork], T]
) -> Future[T]:
    """Does `first` in a transaction that ends only after `second` has begun in one of its own."""

    def other() -> T:
        with database.transaction() as uow:
            return second(uow)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as uow:
            first(uow)
            begun = pool.submit(other)
            wait([begun], timeout=LOOK_S)
        wait([begun], timeout=10)
    return begun


def event(video_id: str, user_id: str = "mina", kind: InteractionType = InteractionType.VIEW) -> Interaction:
    return Interaction(user_id=user_id, video_id=video_id, type=kind, ts=utc_now(), event_id=new_id())


def model(version: str) -> ModelVersion:
    return ModelVersion(version=version, name=version, dimension=4, trained=False)


def test_popularity_counts_both(database: SqlDatabase) -> None:
    video, other = add_indexed(database), add_indexed(database)
    first = [event(video.id, "a"), event(other.id, "a")]
    second = [event(other.id, "b"), event(video.id, "b"), event(video.id, "c")]
    added = meanwhile(database, lambda uow: uow.interactions.append(first), lambda uow: uow.interactions.append(second))
    assert added.result() == 3
    with database.snapshot() as uow:
        views = uow.connection.execute(select(video_stats.c.video_id, video_stats.c.views)).all()
    assert dict(map(tuple, views)) == {video.id: 3, other.id: 2}


def test_interactions_of_a_user_become_visible_in_order(database: SqlDatabase) -> None:
    """Else a profile that was made between them would never learn of the first."""
    video, later = add(database), add(database)
    cutoffs = []

    def second(uow: UnitOfWork) -> None:
        uow.interactions.append([event(later.id)])

    def first(uow: UnitOfWork) -> None:
        uow.interactions.append([event(video.id)])

    done = meanwhile(database, first, second)
    done.result()
    with database.snapshot() as uow:
        cutoffs.append(uow.interactions.cutoff("mina"))
        assert {row.video_id for row in uow.interactions.history("mina")} == {video.id, later.id}

    with ThreadPoolExecutor(1) as pool, database.transaction() as uow:
        first(uow)
        begun = pool.submit(meanwhile_only, database, second)
        wait([begun], timeout=LOOK_S)
        with database.snapshot() as reading:
            assert reading.interactions.cutoff("mina") == cutoffs[0]


def meanwhile_only(database: SqlDatabase, action: Callable[[UnitOfWork], object]) -> None:
    with database.transaction() as uow:
        action(uow)


def test_an_event_beside_a_deletion_leaves_nothing(database: SqlDatabase) -> None:
    video = add_indexed(database)

    def tell(uow: UnitOfWork) -> int:
        uow.catalogue.get([video.id])
        return uow.interactions.append([event(video.id)])

    meanwhile(database, tell, lambda uow: uow.catalogue.tombstone(video.id)).result()
    with database.transaction() as uow:
        assert uow.interactions.erase_video(video.id) == 1
        assert uow.interactions.append([event(video.id)]) == 0

    other = add_indexed(database)
    told = meanwhile(
        database,
        lambda uow: uow.catalogue.tombstone(other.id),
        lambda uow: uow.interactions.append([event(other.id)]),
    )
    assert told.result() == 0


def test_two_intakes_of_one_file_make_one_video(database: SqlDatabase, queue: JobQueue, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_text(name)
    sources = find_files([tmp_path])
    with ThreadPoolExecutor(4) as pool:
        intakes = list(pool.map(lambda _: Ingest(database, queue).add(sources), range(4)))
    with database.snapshot() as uow:
        assert uow.catalogue.counts() == {VideoStatus.QUEUED: 2}
    assert len({video_id for intake in intakes for video_id in intake.queued}) == 2
    assert len(queue.list()) == 2


def test_an_external_id_is_given_once(database: SqlDatabase) -> None:
    video = new_video(external_id="x")
    second = meanwhile(database, lambda uow: uow.catalogue.add(video), lambda uow: uow.catalogue.add(video))
    assert isinstance(second.exception(), Conflict)
    other = add(database)
    change = VideoChanges(external_id="x")
    with pytest.raises(Conflict), database.transaction() as uow:
        uow.catalogue.change(other.id, change)


def test_a_video_is_received_once(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        video = uow.catalogue.add(new_video(), status=VideoStatus.UPLOADING)

    def receive(uow: UnitOfWork) -> bool:
        return uow.catalogue.receive(video.id, location=video.location, size_bytes=1, content_sha256="0" * 64)

    assert meanwhile(database, receive, receive).result() is False


def test_an_upload_arrives_or_is_withdrawn(database: SqlDatabase) -> None:
    now = utc_now()
    with database.transaction() as uow:
        video = uow.catalogue.add(new_video(), status=VideoStatus.UPLOADING)
        upload = Upload(
            id=new_id(), video_id=video.id, bucket="b", key="k", size=None, sha256=None, part_size=None, store_id=None,
            created_at=now, expires_at=now, arrived_at=None,
        )  # fmt: skip
        uow.uploads.add(upload)
    arrived = meanwhile(
        database,
        lambda uow: uow.uploads.mark_arrived(upload.id, now, etag="e"),
        lambda uow: uow.uploads.remove(upload.id),
    )
    assert arrived.result() is False

    def recommendable(uow: UnitOfWork) -> None:
        uow.uploads.mark_recommendable(video.id, now + timedelta(seconds=1))

    meanwhile(database, recommendable, recommendable).result()
    with database.snapshot() as uow:
        assert sum(uow.uploads.seconds_to_recommendable()[0].values()) == 1


def test_a_video_is_deleted_once(database: SqlDatabase) -> None:
    video = add_indexed(database)
    second = meanwhile(
        database, lambda uow: uow.catalogue.tombstone(video.id), lambda uow: uow.catalogue.tombstone(video.id)
    )
    assert second.result().deleted_at is not None


def test_a_video_is_indexed_or_deleted(database: SqlDatabase) -> None:
    video = add(database)

    def mark(uow: UnitOfWork) -> bool:
        return uow.catalogue.mark_indexed(video.id, model_version="m", media=MEDIA, segment_count=1)

    assert meanwhile(database, lambda uow: uow.catalogue.tombstone(video.id), mark).result() is False


def test_a_category_that_changes_while_a_video_is_marked_is_known_then(database: SqlDatabase) -> None:
    video = add(database, category="old")

    def mark(uow: UnitOfWork) -> str | None:
        uow.catalogue.mark_indexed(video.id, model_version="m", media=MEDIA, segment_count=1)
        return uow.catalogue.get([video.id])[video.id].category

    changed = VideoChanges(category="new")
    assert meanwhile(database, lambda uow: uow.catalogue.change(video.id, changed), mark).result() == "new"


def test_what_is_written_for_a_model_is_there_before_another_is_activated(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        for version in ("old", "new"):
            uow.models.register(model(version))
        uow.models.activate("old")
    video = add(database)

    def finish(uow: UnitOfWork) -> None:
        active = uow.models.active()
        assert active is not None
        assert active.version == "old"
        uow.catalogue.mark_indexed(video.id, model_version="old", media=MEDIA, segment_count=1)

    def activate(uow: UnitOfWork) -> str | None:
        uow.models.activate("new")
        return uow.catalogue.get([video.id])[video.id].indexed_model

    assert meanwhile(database, finish, activate).result() == "old"
    with database.transaction() as uow:
        uow.models.activate("old")
    active = meanwhile(database, lambda uow: uow.models.activate("new"), lambda uow: uow.models.active()).result()
    assert active == model("new")


def test_one_model_is_active(database: SqlDatabase) -> None:
    def use(version: str) -> Callable[[UnitOfWork], None]:
        def action(uow: UnitOfWork) -> None:
            uow.models.register(model("same"))
            uow.models.register(model(version))
            uow.models.activate(version)

        return action

    meanwhile(database, use("a"), use("b")).result()
    with database.snapshot() as uow:
        assert uow.models.active() == model("b")
        assert {m.version for m in uow.models.all()} == {"same", "a", "b"}


def test_the_newer_profile_stays(database: SqlDatabase) -> None:
    interest = Interest(video_id=new_id(), embedding=np.ones(4, np.float32), importance=1.0, members=(new_id(),))
    older = UserProfile(user_id="mina", model_version="m", interests=(interest,), cutoff=1)
    newer = replace(older, interests=(), cutoff=2)

    def put(profile: UserProfile, uow: UnitOfWork) -> None:
        uow.profiles.put(profile)

    for first, second in ((older, newer), (newer, older), (newer, newer)):
        meanwhile(database, partial(put, first), partial(put, second)).result()
        with database.transaction() as uow:
            assert uow.profiles.get("mina", "m") == newer
            uow.profiles.erase_video(interest.members[0])
            assert uow.profiles.get("mina", "m") == newer  # whose members are its own
            uow.profiles.erase_user("mina")


def test_progress_is_told_by_several(database: SqlDatabase) -> None:
    def put(uow: UnitOfWork) -> None:
        uow.progress.put("v", VideoProgress(Stage.DECODING, 1, 2))

    meanwhile(database, put, put).result()
    with database.snapshot() as uow:
        assert uow.progress.get(["v"]) == {"v": VideoProgress(Stage.DECODING, 1, 2)}


def test_a_key_is_enqueued_once(database: SqlDatabase, queue: JobQueue) -> None:
    ids: list[str] = []
    jobs = [index_job("v"), index_job("w")]
    more = [index_job("x"), *jobs]
    second = meanwhile(
        database,
        lambda uow: ids.extend(queue.enqueue(uow, jobs)),
        lambda uow: queue.enqueue(uow, more),
    )
    assert list(second.result())[1:] == ids
    assert len(queue.list()) == 3


def test_a_job_is_completed_or_cancelled(database: SqlDatabase, queue: JobQueue) -> None:
    with database.transaction() as uow:
        queue.enqueue(uow, [index_job("v")])
    leased = queue.lease([index_job("v").kind], lease_s=30)
    assert leased is not None
    assert meanwhile(
        database, lambda uow: queue.complete(uow, leased), lambda uow: queue.cancel(uow, video_id="v")
    ).result() == 0  # fmt: skip
