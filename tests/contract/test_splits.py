"""Split videos and model versions in SQL."""

from __future__ import annotations

import threading

import pytest

from tests.contract.sql import MEDIA, add, add_indexed
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import ModelRoles, SplitRange
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.models import ModelVersion, TimeRange, VideoStatus, new_id
from vidrec.domain.uploads import Stage, VideoProgress

RANGES = [TimeRange(0.0, 600.0), TimeRange(600.0, 1200.0), TimeRange(1200.0, 1300.5)]
JOBS = [new_id() for _ in RANGES]


def begin(database: SqlDatabase) -> str:
    """A video that is split under m1."""
    video_id = add(database).id
    with database.transaction() as uow:
        uow.splits.begin(video_id, "m1", MEDIA, RANGES, JOBS)
    return video_id


def model(version: str) -> ModelVersion:
    return ModelVersion(version=version, name=version, dimension=8, trained=False)


# ------------------------------------------------------------------------------------------------ splits


def test_a_split_says_what_was_planned(database: SqlDatabase) -> None:
    video_id = begin(database)
    with database.snapshot() as uow:
        assert uow.splits.media(video_id, "m1") == MEDIA
        assert uow.splits.media(video_id, "m2") is None
        assert uow.splits.ranges(video_id, "m2") == []
        expected = [SplitRange(n, RANGES[n], JOBS[n], False) for n in range(3)]
        assert uow.splits.ranges(video_id, "m1") == expected


def test_the_last_range_is_told_that_it_is(database: SqlDatabase) -> None:
    video_id = begin(database)
    with database.transaction() as uow:
        assert [uow.splits.finish(video_id, "m1", n) for n in (1, 1, 0, 2, 2)] == [2, 2, 1, 0, 0]
        assert uow.splits.finish(video_id, "m1", 3) is None
        assert uow.splits.finish(new_id(), "m1", 0) is None


def test_ranges_that_end_at_the_same_time_see_each_other(database: SqlDatabase) -> None:
    video_id = begin(database)
    left: list[int | None] = []
    start = threading.Barrier(3)

    def finish(number: int) -> None:
        start.wait()
        with database.transaction() as uow:
            found = uow.splits.finish(video_id, "m1", number)
        left.append(found)

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(each) for each in left) == ["0", "1", "2"]


def test_an_ended_split_names_what_was_not_finished(database: SqlDatabase) -> None:
    video_id = begin(database)
    with database.transaction() as uow:
        uow.splits.finish(video_id, "m1", 1)
        assert uow.splits.end(video_id, "m1") == [JOBS[0], JOBS[2]]
        assert uow.splits.end(video_id, "m1") == []
        assert uow.splits.media(video_id, "m1") is None


def test_splitting_again_takes_the_place_of_the_first(database: SqlDatabase) -> None:
    video_id = begin(database)
    with database.transaction() as uow:
        uow.splits.finish(video_id, "m1", 0)
        uow.splits.begin(video_id, "m1", MEDIA, RANGES[:2], JOBS[:2])
        assert [each.finished for each in uow.splits.ranges(video_id, "m1")] == [False, False]
        uow.splits.begin(video_id, "m2", MEDIA, RANGES, JOBS)
        uow.splits.clear(video_id)
        assert not uow.splits.ranges(video_id, "m1")
        assert not uow.splits.ranges(video_id, "m2")


def test_the_progress_is_the_sum_over_the_ranges(database: SqlDatabase) -> None:
    video_id, other = begin(database), add(database).id
    with database.transaction() as uow:
        uow.progress.put(other, VideoProgress(Stage.DECODING, 3, 9))
        uow.splits.note(video_id, "m1", 0, 450.0)
        uow.splits.note(video_id, "m1", 1, 50.0)
        uow.splits.note(video_id, "m1", 9, 50.0)
        found = uow.progress.get([video_id, other])
        assert found[other] == VideoProgress(Stage.DECODING, 3, 9)
        assert found[video_id] == VideoProgress(Stage.DECODING, 500, 1300, 0, 3)
        uow.splits.finish(video_id, "m1", 0)
        assert uow.progress.get([video_id])[video_id] == VideoProgress(Stage.DECODING, 650, 1300, 1, 3)
        for number in (1, 2):
            uow.splits.finish(video_id, "m1", number)
        assert uow.progress.get([video_id])[video_id] == VideoProgress(Stage.EMBEDDING)


# ---------------------------------------------------------------------------------------- model versions


def test_one_row_names_what_is_active_before_and_after(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        for version in ("m1", "m2", "m3"):
            uow.models.register(model(version))
        assert uow.models.roles() == ModelRoles()
        with pytest.raises(Conflict, match="no model is active"):
            uow.models.prepare("m2")
        uow.models.activate("m1")
        uow.models.prepare("m2")
        assert uow.models.roles() == ModelRoles(active=model("m1"), prepared=model("m2"))
        uow.models.prepare(None)
        uow.models.prepare("m2")
        uow.models.activate("m2")
        assert uow.models.roles() == ModelRoles(active=model("m2"), previous=model("m1"))
        uow.models.activate("m2")
        assert uow.models.roles() == ModelRoles(active=model("m2"), previous=model("m1"))
        uow.models.activate("m1")
        assert uow.models.roles() == ModelRoles(active=model("m1"), previous=model("m2"))
        with pytest.raises(NotFound, match="m9"):
            uow.models.prepare("m9")
        with pytest.raises(Conflict, match="is the active one"):
            uow.models.remove("m1")
        uow.models.remove("m2")
        assert uow.models.roles() == ModelRoles(active=model("m1"))
        assert [m.version for m in uow.models.all()] == ["m1", "m3"]


def test_a_video_is_indexed_under_each_version_by_itself(database: SqlDatabase) -> None:
    video_id = add_indexed(database).id
    with database.transaction() as uow:
        for version in ("m1", "m2"):
            uow.models.register(model(version))
        uow.models.activate("m1")
        assert uow.catalogue.unindexed("m1", limit=9) == []
        assert uow.catalogue.unindexed("m2", limit=9) == [video_id]
        assert uow.catalogue.mark_indexed(video_id, model_version="m2", media=MEDIA, segment_count=8)
        assert uow.catalogue.unindexed("m2", limit=9) == []
        assert uow.catalogue.versions(video_id) == {"m1", "m2"}
        assert (uow.catalogue.indexed_under("m1"), uow.catalogue.indexed_under("m2")) == ((1, 0), (1, 0))
        seen = {v: uow.catalogue.get([video_id], model_version=v)[video_id] for v in ("m1", "m2", "m3")}
        found = {v: (video.indexed_model, video.segment_count) for v, video in seen.items()}
        assert found == {"m1": ("m1", 3), "m2": ("m2", 8), "m3": ("m1", 3)}
        assert uow.catalogue.get([video_id])[video_id] == seen["m1"]
        uow.models.activate("m2")
        assert uow.catalogue.get([video_id])[video_id] == seen["m2"]
        assert uow.catalogue.recent(9)[0] == seen["m2"]
        uow.catalogue.forget_version("m1")
        assert uow.catalogue.versions(video_id) == {"m2"}
        assert uow.catalogue.indexed_ids() == [video_id]
        assert uow.catalogue.unindexed("m1", limit=9) == [video_id]


def test_an_indexed_video_stays_so_while_it_is_indexed_again(database: SqlDatabase) -> None:
    video_id = add_indexed(database).id
    with database.transaction() as uow:
        uow.catalogue.requeue([video_id])
        uow.catalogue.mark_processing(video_id)
        assert uow.catalogue.get([video_id])[video_id].status is VideoStatus.INDEXED
        before = uow.catalogue.recent(1)
        uow.catalogue.mark_indexed(video_id, model_version="m1", media=MEDIA, segment_count=4)
        assert [video.id for video in uow.catalogue.recent(1)] == [video.id for video in before]


def test_what_fails_under_one_version_is_remembered_of_it(database: SqlDatabase) -> None:
    ids = [add_indexed(database).id for _ in range(3)]
    with database.transaction() as uow:
        uow.catalogue.mark_unindexable(ids[1], "m2", FailureReason.GAVE_UP, "no")
        uow.catalogue.mark_unindexable(ids[0], "m1", FailureReason.GAVE_UP, "it is indexed under it")
        uow.catalogue.mark_unindexable(new_id(), "m2", FailureReason.GAVE_UP, "nobody")
        assert uow.catalogue.unindexable(ids, "m2") == {ids[1]}
        assert uow.catalogue.unindexable(ids, "m1") == set()
        assert uow.catalogue.indexed_under("m2") == (0, 1)
        assert uow.catalogue.unindexed("m2", limit=9) == [ids[0], ids[2]]
        assert uow.catalogue.unindexed("m2", limit=9, after=ids[0]) == [ids[2]]
        assert uow.catalogue.get(ids)[ids[1]].failure_reason is None
        uow.catalogue.forget_version("m2", failures_only=True)
        assert uow.catalogue.unindexed("m2", limit=1) == [ids[0]]


def test_a_deleted_video_is_indexed_under_nothing(database: SqlDatabase) -> None:
    video_id = add_indexed(database).id
    with database.transaction() as uow:
        uow.catalogue.tombstone(video_id)
        uow.catalogue.mark_unindexable(video_id, "m2", FailureReason.GAVE_UP, "late")
        assert uow.catalogue.unindexed("m2", limit=9) == []
        assert uow.catalogue.indexed_under("m1") == (0, 0)
        uow.catalogue.scrub(video_id)
        assert uow.catalogue.unindexable([video_id], "m2") == set()
