"""The worker on a real PostgreSQL: what its unit tests show on SQLite, where the SQL store and the queue have a part in
it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.contract.test_queue import ServerClock
from tests.unit.application import test_worker as suite
from vidrec.adapters.procrastinate_queue import ProcrastinateQueue
from vidrec.adapters.sql import SqlDatabase

pytestmark = pytest.mark.timeout(120)


class Clock:
    """The server's clock, put forward like that of the unit tests."""

    def __init__(self, database: SqlDatabase) -> None:
        self._clock = ServerClock(database)
        self._ahead = timedelta()

    @property
    def ahead(self) -> timedelta:
        return self._ahead

    @ahead.setter
    def ahead(self, ahead: timedelta) -> None:
        self._clock.advance((ahead - self._ahead).total_seconds())
        self._ahead = ahead


class Rig(suite.Rig):
    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        super().__init__(database, folder)
        self.clock = Clock(database)  # type: ignore[assignment]
        self.queue = ProcrastinateQueue(database)  # type: ignore[assignment]


@pytest.fixture
def rig(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr("vidrec.adapters.procrastinate_queue.FIRST_RETRY_S", 0.001)
    with closing(SqlDatabase(postgres_url)) as database:
        yield Rig(database, tmp_path)


test_a_video_becomes_recommendable = suite.test_a_video_becomes_recommendable
test_one_bad_file_does_not_stop_the_rest = suite.test_one_bad_file_does_not_stop_the_rest
test_a_poison_video_is_given_up_after_five = suite.test_a_poison_video_is_given_up_after_five
test_a_worker_that_died_leaves_its_job_to_another = suite.test_a_worker_that_died_leaves_its_job_to_another
test_a_lost_lease_ends_the_work = suite.test_a_lost_lease_ends_the_work
test_a_worker_that_overslept_does_not_touch_the_video = suite.test_a_worker_that_overslept_does_not_touch_the_video
test_deleting_during_the_work_leaves_nothing = suite.test_deleting_during_the_work_leaves_nothing
test_deleting_just_before_the_end = suite.test_deleting_just_before_the_end_takes_back_what_was_written
test_a_deleted_video_is_not_begun = suite.test_a_deleted_video_is_not_begun
test_a_category_changed_during_the_work = suite.test_a_category_changed_during_the_work_is_found_by
test_a_model_that_changed_meanwhile = suite.test_a_model_that_changed_meanwhile_makes_another_round
test_told_to_stop_it_gives_its_job_back_at_once = suite.test_told_to_stop_it_gives_its_job_back_at_once
test_several_are_worked_on_at_a_time = suite.test_several_are_worked_on_at_a_time
