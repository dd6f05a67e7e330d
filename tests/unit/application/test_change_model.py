"""Changing the model: real SQL store, queue and worker, fakes for what is outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.encoder import FakeEncoder
from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from tests.worker_rig import BLUE, MODEL, NEXT_MODEL, RED, Rig, wait_for
from vidrec.adapters.sql import SqlDatabase
from vidrec.application import pictures
from vidrec.application.change_model import Embedded, ModelChanges
from vidrec.application.erase import Eraser
from vidrec.application.ports import ModelRoles
from vidrec.application.recommend import Query, Recommender
from vidrec.application.spotlight import Spotlight
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.models import (
    Embeddings,
    Frames,
    Interaction,
    InteractionType,
    JobState,
    ModelVersion,
    VideoStatus,
    utc_now,
)
from vidrec.domain.segmentation import CHUNK_S


class Shop(Rig):
    """A rig whose library is recommended from and whose model can be changed."""

    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        super().__init__(database, folder)
        self.encoder.others = {NEXT_MODEL.version}
        self.changes = ModelChanges(database, self.queue, self.index, self.store)
        self.recommender = Recommender(database, self.index, Spotlight(database, refresh_s=0.01))

    def library(self, size: int = 6) -> list[str]:
        ids = [self.add(f"{n}.webm", category="all") for n in range(size)]
        self.work()
        return ids

    def watch(self, user: str, video_id: str) -> None:
        with self.database.transaction() as uow:
            event = Interaction(
                user_id=user, video_id=video_id, type=InteractionType.LIKE, ts=utc_now(), event_id=video_id
            )
            uow.interactions.append([event])

    def change(self, model: ModelVersion = NEXT_MODEL, meanwhile: Callable[[], object] = lambda: None) -> Embedded:
        """A whole change with a worker beside it; answers what was told last."""
        assert self.changes.begin(model)
        with self.working():
            while True:
                told = []
                for state in self.changes.embed(model, at_a_time=2, every_s=0.01):
                    told.append(state)
                    meanwhile()
                if self.changes.switch(model):
                    return told[-1]

    def roles(self) -> ModelRoles:
        with self.database.snapshot() as uow:
            return uow.models.roles()


@pytest.fixture
def shop(database: SqlDatabase, tmp_path: Path) -> Shop:
    return Shop(database, tmp_path)


def test_a_change_embeds_all_beside_and_switches_once(shop: Shop) -> None:
    ids = shop.library()
    shop.watch("u", ids[0])
    seen: set[tuple[object, ...]] = set()

    def ask() -> None:
        page = shop.recommender.recommend(Query(user_id="u"))
        seen.add((page.model_version, page.strategy, page.degraded, len(page.items)))
        assert {shop.status(video_id) for video_id in ids} == {VideoStatus.INDEXED}

    assert shop.change(meanwhile=ask) == Embedded(6, 0, 6)
    ask()
    assert seen == {(version, "content", False, 5) for version in (MODEL.version, NEXT_MODEL.version)}
    assert shop.roles() == ModelRoles(active=NEXT_MODEL, previous=MODEL)
    assert shop.index.count(MODEL) == shop.index.count(NEXT_MODEL)
    assert {video.indexed_model for video in map(shop.video, ids)} == {NEXT_MODEL.version}


def test_what_arrives_meanwhile_is_indexed_under_both(shop: Shop) -> None:
    shop.library(3)
    assert shop.changes.begin(NEXT_MODEL)
    new = shop.add("new.webm")
    shop.work()
    with shop.database.snapshot() as uow:
        assert uow.catalogue.versions(new) == {MODEL.version, NEXT_MODEL.version}
        assert uow.catalogue.get([new])[new].indexed_model == MODEL.version
    assert shop.index.videos(NEXT_MODEL, [new])


def test_an_upload_comes_before_the_embedding_beside(shop: Shop) -> None:
    old = shop.library(3)
    shop.changes.begin(NEXT_MODEL)
    next(shop.changes.embed(NEXT_MODEL, at_a_time=3))
    shop.changes._queue_beside(NEXT_MODEL, old)
    new = shop.add("new.webm")
    job = shop.queue.lease(["index_video"], lease_s=30.0)
    assert job is not None
    assert job.video_id == new


def test_no_more_than_asked_for_are_in_work(shop: Shop) -> None:
    shop.library(6)
    shop.changes.begin(NEXT_MODEL)
    looks = shop.changes.embed(NEXT_MODEL, at_a_time=2, every_s=0.0)
    for _ in range(4):
        next(looks)
    assert shop.queue.counts()[JobState.QUEUED] == 2


def test_a_change_that_was_cut_short_goes_on(shop: Shop) -> None:
    shop.library(4)
    shop.changes.begin(NEXT_MODEL)
    looks = shop.changes.embed(NEXT_MODEL, at_a_time=2, every_s=0.0)
    next(looks)
    next(looks)
    looks.close()
    shop.work()
    assert not shop.changes.switch(NEXT_MODEL)
    assert shop.change() == Embedded(4, 0, 4)
    with shop.database.snapshot() as uow:
        assert len(shop.queue.list(limit=100)) == 8, "nothing was done twice"
        assert uow.models.active() == NEXT_MODEL


def test_a_video_that_fails_under_the_new_one_stays_recommendable(shop: Shop, tmp_path: Path) -> None:
    ids = shop.library(3)
    (tmp_path / "1.webm").unlink()
    assert shop.change() == Embedded(2, 1, 3)
    assert shop.status(ids[1]) is VideoStatus.INDEXED
    with shop.database.snapshot() as uow:
        assert uow.catalogue.unindexable(ids, NEXT_MODEL.version) == {ids[1]}
        assert set(uow.catalogue.recommendable(ids)) == set(ids)
    assert shop.video(ids[1]).failure_reason is None


def test_going_back_is_at_once_and_catches_up(shop: Shop) -> None:
    shop.library(3)
    shop.change()
    new = shop.add("new.webm")
    shop.work()
    assert shop.changes.roll_back() == (MODEL, 1)
    assert shop.roles() == ModelRoles(active=MODEL, previous=NEXT_MODEL)
    assert shop.status(new) is VideoStatus.INDEXED
    shop.work()
    assert shop.video(new).indexed_model == MODEL.version
    assert shop.changes.roll_back() == (NEXT_MODEL, 0)


def test_there_must_be_something_to_go_back_to(shop: Shop) -> None:
    with pytest.raises(Conflict, match="no model version to go back to"):
        shop.changes.roll_back()


def test_an_old_answer_is_paged_in_its_own_version(shop: Shop) -> None:
    ids = shop.library(8)
    shop.watch("u", ids[0])
    first = shop.recommender.recommend(Query(user_id="u", n=3))
    shop.change()
    second = shop.recommender.recommend(Query(user_id="u", n=3, cursor=first.next_cursor))
    assert second.model_version == MODEL.version
    assert not {item.video.id for item in first.items} & {item.video.id for item in second.items}
    assert {item.video.indexed_model for item in second.items} == {MODEL.version}
    assert all(item.why.moment for item in second.items)


def test_a_picture_is_searched_with_the_version_it_was_encoded_by(shop: Shop) -> None:
    ids = shop.library(3)
    embedding = shop.segments(ids[0])[0].embedding
    shop.change()
    [first, *_] = shop.recommender.nearest(embedding, n=3, model_version=MODEL.version)
    assert (first.video.id, first.video.indexed_model) == (ids[0], MODEL.version)


def test_dropping_removes_all_of_a_version(shop: Shop) -> None:
    ids = shop.library(2)
    shop.change()
    with pytest.raises(Conflict, match="is the active one"):
        shop.changes.drop(NEXT_MODEL.version)
    shop.changes.drop(MODEL.version)
    assert shop.roles() == ModelRoles(active=NEXT_MODEL)
    assert {key.split("/")[2] for key in shop.store.objects} == {NEXT_MODEL.version, "thumbnail.jpg"}
    with shop.database.snapshot() as uow:
        assert uow.models.all() == [NEXT_MODEL]
        assert uow.catalogue.versions(ids[0]) == {NEXT_MODEL.version}
        assert sorted(uow.catalogue.indexed_ids()) == sorted(ids)
    with pytest.raises(NotFound):
        shop.changes.drop(MODEL.version)
    with pytest.raises(Conflict, match="go back"):
        shop.changes.roll_back()


def test_dropping_the_prepared_one_ends_the_change(shop: Shop) -> None:
    shop.library(3)
    shop.changes.begin(NEXT_MODEL)
    looks = shop.changes.embed(NEXT_MODEL, at_a_time=1, every_s=0.0)
    next(looks)
    next(looks)
    shop.changes.drop(NEXT_MODEL.version)
    shop.work()
    assert shop.roles() == ModelRoles(active=MODEL)
    assert shop.queue.counts() == {JobState.DONE: 4}
    with pytest.raises(Conflict, match="not being prepared any more"):
        list(looks)
    shop.index.create(NEXT_MODEL)
    with pytest.raises(Conflict, match="not being prepared any more"):
        shop.changes.switch(NEXT_MODEL)


def test_one_change_at_a_time(shop: Shop) -> None:
    shop.library(1)
    with pytest.raises(Conflict, match="active one already"):
        shop.changes.begin(MODEL)
    shop.changes.begin(NEXT_MODEL)
    third = replace(MODEL, version="mthird0000000")
    with pytest.raises(Conflict, match=f"vidrec model drop {NEXT_MODEL.version}"):
        shop.changes.begin(third)


def test_an_empty_library_is_switched_at_once(shop: Shop) -> None:
    assert not shop.changes.begin(NEXT_MODEL)
    assert shop.roles().active == NEXT_MODEL


def test_a_long_video_is_split_under_the_new_version_too(shop: Shop) -> None:
    shop.frames = FakeFrameSource({"long.webm": FakeVideo(scenes=(RED, BLUE), duration_s=2.5 * CHUNK_S)})
    video_id = shop.add("long.webm")
    shop.work()
    shop.change()
    assert shop.index.count(MODEL) == shop.index.count(NEXT_MODEL)
    assert not [key for key in shop.store.objects if key.startswith("partials/")]
    names = {key.removeprefix(pictures.prefix(video_id)).split("/")[0] for key in shop.store.objects}
    assert names == {"thumbnail.jpg", MODEL.version, NEXT_MODEL.version}


def test_a_video_deleted_meanwhile_is_gone_from_both(shop: Shop) -> None:
    ids = shop.library(3)
    shop.changes.begin(NEXT_MODEL)
    shop.work()
    Eraser(shop.database, shop.queue).erase_video(ids[0])
    shop.change()
    shop.work()
    assert shop.index.count(MODEL)[0] == shop.index.count(NEXT_MODEL)[0] == 2


def test_the_comparison_tells_how_alike_they_are(shop: Shop) -> None:
    class Shuffled(FakeEncoder):
        """The next version gives the same values in another order: the same space."""

        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            found = super().encode(frames, model_version=model_version)
            if model_version == NEXT_MODEL.version:
                found = found[:, ::-1].copy()
            return found

    shop.encoder = Shuffled()
    shop.encoder.others = {NEXT_MODEL.version}
    shop.library(14)
    shop.change()
    compared = shop.changes.compare(MODEL, sample=10)
    assert compared.videos == 10
    assert 0.9 <= compared.overlap <= 1.0


def test_work_for_a_version_that_no_encoder_serves_does_not_hold_up_uploads(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidrec.application.index_jobs.BESIDE_WAIT_S", 0.0)
    monkeypatch.setattr("vidrec.application.index_jobs.MODEL_POLL_S", 0.01)
    shop.library(3)
    shop.encoder.others = set()
    shop.changes.begin(NEXT_MODEL)
    looks = shop.changes.embed(NEXT_MODEL, at_a_time=3, every_s=0.01)
    next(looks)
    next(looks)
    with shop.working(concurrency=1):
        wait_for(lambda: any(job.last_error for job in shop.queue.list()))
        new = shop.add("new.webm")
        wait_for(lambda: shop.status(new) is VideoStatus.INDEXED)
    assert shop.roles().prepared == NEXT_MODEL


def test_a_failure_under_an_old_version_is_no_failure(shop: Shop) -> None:
    [video_id] = shop.library(1)
    with shop.database.transaction() as uow:
        uow.catalogue.mark_unindexable(video_id, MODEL.version, FailureReason.GAVE_UP, "no")
        assert uow.catalogue.unindexable([video_id], MODEL.version) == set(), "it is indexed under it"
