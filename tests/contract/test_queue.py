"""What the job queue does. Time is a clock in the test's hand; what only real processes show is in
test_queue_processes.py."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from tests.contract.sql import new_video
from vidrec.adapters.procrastinate_queue import ProcrastinateQueue
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.ports import JobQueue, UnitOfWork
from vidrec.domain.errors import LeaseLost
from vidrec.domain.models import Job, JobState, NewJob, new_id, utc_now

KINDS = ["index"]


class Clock:
    """Time as the queue sees it."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class ServerClock(Clock):
    """PostgreSQL's clock goes its own way: instead of moving it, all that is noted is made older."""

    def __init__(self, database: SqlDatabase) -> None:
        super().__init__()
        self._database = database

    def advance(self, seconds: float) -> None:
        columns = {"workers": "last_heartbeat", "jobs": "scheduled_at", "events": "at"}
        with self._database.transaction() as uow:
            for table, column in columns.items():
                statement = f"UPDATE procrastinate_{table} SET {column} = {column} - make_interval(secs => :seconds)"
                uow.connection.execute(text(statement), {"seconds": seconds})
            self.now = uow.connection.execute(text("SELECT now()")).scalar_one()


@pytest.fixture
def clock(database: SqlDatabase) -> Clock:
    return ServerClock(database) if database.dialect == "postgresql" else Clock()


@pytest.fixture
def queue(database: SqlDatabase, clock: Clock) -> JobQueue:
    if database.dialect == "postgresql":
        return ProcrastinateQueue(database, max_attempts=5)
    return SqliteQueue(database, max_attempts=5, clock=clock)


def job(number: int = 0, **more: object) -> NewJob:
    return NewJob(**{"kind": "index", "payload": {"number": number, "näme": ["ü"]}, **more})  # type: ignore[arg-type]


def enqueue(database: SqlDatabase, queue: JobQueue, *jobs: NewJob) -> list[str]:
    with database.transaction() as uow:
        return list(queue.enqueue(uow, jobs))


def lease(queue: JobQueue, *, lease_s: float = 30.0) -> Job:
    leased = queue.lease(KINDS, lease_s=lease_s)
    assert leased is not None
    return leased


def complete(database: SqlDatabase, queue: JobQueue, leased: Job) -> None:
    with database.transaction() as uow:
        queue.complete(uow, leased)


def state(queue: JobQueue, job_id: str) -> JobState:
    return queue.get([job_id])[job_id].state


def undone(database: SqlDatabase, action: Callable[[UnitOfWork], object]) -> None:
    """Does something in a transaction that then fails."""

    def fail_after() -> None:
        with database.transaction() as uow:
            action(uow)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after()


def test_a_job_is_leased_as_it_was_enqueued_once(database: SqlDatabase, queue: JobQueue) -> None:
    [job_id] = enqueue(database, queue, job(7, video_id="v", priority=3))
    leased = lease(queue)
    assert (leased.id, leased.kind, leased.video_id, leased.priority) == (job_id, "index", "v", 3)
    assert leased.payload == {"number": 7, "näme": ["ü"]}
    assert (leased.state, leased.attempts, leased.last_error) == (JobState.RUNNING, 1, None)
    assert leased.lease_token
    assert queue.lease(KINDS, lease_s=30.0) is None
    complete(database, queue, leased)
    assert state(queue, job_id) is JobState.DONE
    assert queue.lease(KINDS, lease_s=30.0) is None


def test_an_empty_queue_has_nothing(database: SqlDatabase, queue: JobQueue) -> None:
    assert queue.lease(KINDS, lease_s=30.0) is None
    assert enqueue(database, queue) == []
    assert queue.get([new_id()]) == {}
    assert queue.list() == []
    assert queue.counts() == {}


def test_priority_first_then_the_order_of_arrival(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    ids = enqueue(database, queue, *(job(i, priority=i % 2) for i in range(10)))
    clock.advance(1)
    ids += enqueue(database, queue, job(10), job(11, priority=1))
    leased = [lease(queue).id for _ in range(12)]
    assert leased == [*ids[1:10:2], ids[11], *ids[0:10:2], ids[10]]


def test_only_the_kinds_asked_for_are_leased(database: SqlDatabase, queue: JobQueue) -> None:
    enqueue(database, queue, job(kind="a"), job(kind="b"))
    assert queue.lease(["c"], lease_s=30.0) is None
    assert queue.lease([], lease_s=30.0) is None
    leased = queue.lease(["c", "b"], lease_s=30.0)
    assert leased is not None
    assert leased.kind == "b"


def test_a_lease_that_is_not_renewed_goes_to_somebody_else(
    database: SqlDatabase, queue: JobQueue, clock: Clock
) -> None:
    enqueue(database, queue, job())
    first = lease(queue, lease_s=30.0)
    clock.advance(29)
    assert queue.lease(KINDS, lease_s=30.0) is None
    clock.advance(2)
    second = lease(queue)
    assert second.id == first.id
    assert second.lease_token != first.lease_token
    assert second.attempts == 2
    for action in (
        lambda: queue.renew(first, lease_s=30.0),
        lambda: complete(database, queue, first),
        lambda: fail(database, queue, first),
    ):
        with pytest.raises(LeaseLost):
            action()
    queue.retry(first, "late")
    queue.release(first)
    assert queue.get([first.id])[first.id] == second
    complete(database, queue, second)


def test_a_renewed_lease_holds(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    enqueue(database, queue, job())
    leased = lease(queue, lease_s=30.0)
    for _ in range(5):
        clock.advance(20)
        queue.renew(leased, lease_s=30.0)
    assert queue.lease(KINDS, lease_s=30.0) is None
    complete(database, queue, leased)


def test_a_token_that_was_made_up_does_nothing(database: SqlDatabase, queue: JobQueue) -> None:
    [job_id] = enqueue(database, queue, job())
    for token in (None, new_id()):
        made_up = replace(queue.get([job_id])[job_id], lease_token=token)
        with pytest.raises(LeaseLost):
            queue.renew(made_up, lease_s=30.0)
        with pytest.raises(LeaseLost):
            complete(database, queue, made_up)
    assert state(queue, job_id) is JobState.QUEUED


def test_completing_twice_is_refused(database: SqlDatabase, queue: JobQueue) -> None:
    enqueue(database, queue, job())
    leased = lease(queue)
    complete(database, queue, leased)
    with pytest.raises(LeaseLost):
        complete(database, queue, leased)


def test_retries_wait_longer_each_time(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    enqueue(database, queue, job())
    pauses = []
    for attempt in range(1, 5):
        leased = lease(queue)
        assert leased.attempts == attempt
        queue.retry(leased, f"error {attempt}")
        waiting = queue.get([leased.id])[leased.id]
        assert (waiting.state, waiting.last_error) == (JobState.QUEUED, f"error {attempt}")
        pauses.append((waiting.run_at - clock.now).total_seconds())
        assert queue.lease(KINDS, lease_s=30.0) is None
        clock.advance(pauses[-1])
    assert pauses[0] >= 0.5
    assert all(later > 2 * earlier for earlier, later in pairwise(pauses))


def test_a_job_that_waits_does_not_hold_up_others(database: SqlDatabase, queue: JobQueue) -> None:
    first, second = enqueue(database, queue, job(priority=1), job())
    leased = lease(queue)
    assert leased.id == first
    queue.retry(leased, "not now")
    assert lease(queue).id == second


def exhaust(queue: JobQueue, clock: Clock, times: int = 5) -> Job:
    for _ in range(times):
        leased = lease(queue)
        queue.retry(leased, "no luck")
        clock.advance(1000)
    return leased


def test_exhausted_jobs_are_buried_once(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    [job_id] = enqueue(database, queue, job(video_id="v"))
    exhaust(queue, clock, 4)
    with database.transaction() as uow:
        assert queue.bury(uow) == []
    exhaust(queue, clock, 1)
    assert queue.lease(KINDS, lease_s=30.0) is None
    with database.transaction() as uow:
        [dead] = queue.bury(uow)
        assert queue.bury(uow) == []
    assert (dead.id, dead.video_id, dead.state, dead.attempts) == (job_id, "v", JobState.DEAD, 5)
    assert dead.last_error == "no luck"
    clock.advance(10_000)
    assert queue.lease(KINDS, lease_s=30.0) is None
    assert queue.counts() == {JobState.DEAD: 1}


def test_a_job_whose_workers_all_die_is_buried_too(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    enqueue(database, queue, job())
    for _ in range(5):
        leased = lease(queue, lease_s=30.0)
        with database.transaction() as uow:
            assert queue.bury(uow) == []  # the last one may still make it
        clock.advance(31)
    assert queue.lease(KINDS, lease_s=30.0) is None
    with database.transaction() as uow:
        assert [dead.id for dead in queue.bury(uow)] == [leased.id]
    with pytest.raises(LeaseLost):
        queue.renew(leased, lease_s=30.0)


def test_burying_takes_part_in_the_transaction(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    [job_id] = enqueue(database, queue, job())
    exhaust(queue, clock)
    undone(database, queue.bury)
    assert state(queue, job_id) is JobState.QUEUED
    with database.transaction() as uow:
        assert [dead.id for dead in queue.bury(uow)] == [job_id]


def test_releasing_does_not_count_the_attempt(database: SqlDatabase, queue: JobQueue) -> None:
    enqueue(database, queue, job())
    for _ in range(10):
        leased = lease(queue)
        assert leased.attempts == 1
        queue.release(leased)


def fail(database: SqlDatabase, queue: JobQueue, leased: Job) -> None:
    with database.transaction() as uow:
        queue.fail(uow, leased, "it is a text file")


def test_failing_is_for_good(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    [job_id] = enqueue(database, queue, job())
    fail(database, queue, lease(queue))
    clock.advance(10_000)
    assert queue.lease(KINDS, lease_s=30.0) is None
    failed = queue.get([job_id])[job_id]
    assert (failed.state, failed.last_error) == (JobState.DEAD, "it is a text file")
    with database.transaction() as uow:
        assert queue.bury(uow) == []


def test_cancelling_takes_queued_and_running_jobs(database: SqlDatabase, queue: JobQueue) -> None:
    ids = enqueue(database, queue, job(video_id="v", priority=1), job(video_id="v"), job(video_id="w"), job())
    running = lease(queue)
    assert running.id == ids[0]
    with database.transaction() as uow:
        assert queue.cancel(uow, video_id="v") == 2
        assert queue.cancel(uow, video_id="v") == 0
    for action in (lambda: queue.renew(running, lease_s=30.0), lambda: complete(database, queue, running)):
        with pytest.raises(LeaseLost):
            action()
    queue.retry(running, "too late")
    assert [state(queue, i) for i in ids] == [JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED, JobState.QUEUED]
    with database.transaction() as uow:
        assert queue.cancel(uow, job_id=ids[2]) == 1
        assert queue.cancel(uow, job_id=new_id()) == 0
    assert lease(queue).id == ids[3]


def test_the_live_jobs_of_a_video_are_known(database: SqlDatabase, queue: JobQueue) -> None:
    done, running, waiting, _ = enqueue(
        database, queue, *(job(n, video_id=v) for n, v in enumerate(("v", "v", "v", "w")))
    )
    complete(database, queue, lease(queue))
    lease(queue)
    with database.transaction() as uow:
        [fresh] = queue.enqueue(uow, [job(9, video_id="v")])
        live = queue.live(uow, "v")
        assert [(j.id, j.state) for j in live] == [
            (running, JobState.RUNNING),
            (waiting, JobState.QUEUED),
            (fresh, JobState.QUEUED),
        ]
        assert queue.live(uow, "none") == []
    assert queue.get([done])[done].state is JobState.DONE


def test_cancelling_needs_a_job_or_a_video(database: SqlDatabase, queue: JobQueue) -> None:
    """Else it would take every job that is about no video."""
    [job_id] = enqueue(database, queue, job())
    with pytest.raises(ValueError, match="job_id or video_id"), database.transaction() as uow:
        queue.cancel(uow)
    assert state(queue, job_id) is JobState.QUEUED


def test_a_key_is_queued_once_while_its_job_is_live(database: SqlDatabase, queue: JobQueue) -> None:
    first, other, again = enqueue(
        database, queue, job(1, dedupe_key="a"), job(2, dedupe_key="b"), job(3, dedupe_key="a")
    )
    assert again == first != other
    leased = lease(queue)
    assert leased.id == first
    assert leased.payload["number"] == 1
    assert enqueue(database, queue, job(4, dedupe_key="a")) == [first]  # running counts as live
    complete(database, queue, leased)
    [anew] = enqueue(database, queue, job(5, dedupe_key="a"))
    assert anew not in (first, other)


@pytest.mark.parametrize("end", ["fail", "cancel", "exhaust"])
def test_a_key_is_free_again_however_its_job_ended(
    database: SqlDatabase, queue: JobQueue, clock: Clock, end: str
) -> None:
    [first] = enqueue(database, queue, job(dedupe_key="a"))
    if end == "fail":
        fail(database, queue, lease(queue))
    elif end == "exhaust":
        exhaust(queue, clock)
        with database.transaction() as uow:
            queue.bury(uow)
    else:
        with database.transaction() as uow:
            queue.cancel(uow, job_id=first)
    [anew] = enqueue(database, queue, job(dedupe_key="a"))
    assert anew != first
    assert lease(queue).id == anew


def test_enqueueing_takes_part_in_the_transaction(database: SqlDatabase, queue: JobQueue) -> None:

    def ingest(uow: UnitOfWork) -> str:
        video = uow.catalogue.add(new_video())
        queue.enqueue(uow, [job(video_id=video.id)])
        return video.id

    undone(database, ingest)
    assert queue.list() == []
    with database.transaction() as uow:
        assert uow.catalogue.counts() == {}
        kept = ingest(uow)
    assert [j.video_id for j in queue.list()] == [kept]


def test_a_lost_lease_undoes_the_effects_of_the_job(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    enqueue(database, queue, job())
    late = lease(queue, lease_s=30.0)
    clock.advance(31)
    lease(queue)

    def finish() -> None:
        with database.transaction() as uow:
            uow.catalogue.add(new_video())
            queue.complete(uow, late)

    with pytest.raises(LeaseLost):
        finish()
    with database.snapshot() as uow:
        assert uow.catalogue.counts() == {}


def test_an_undone_completion_leaves_the_lease(database: SqlDatabase, queue: JobQueue) -> None:
    enqueue(database, queue, job())
    leased = lease(queue)
    undone(database, lambda uow: queue.complete(uow, leased))
    queue.renew(leased, lease_s=30.0)
    complete(database, queue, leased)


def test_listing_is_newest_first(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    ids = []
    for i in range(5):
        ids += enqueue(database, queue, job(i), job(i))
        clock.advance(1)
    assert [j.id for j in queue.list()] == ids[::-1]
    assert [j.id for j in queue.list(limit=3)] == ids[:-4:-1]
    fail(database, queue, lease(queue))
    assert [j.id for j in queue.list(state=JobState.DEAD)] == ids[:1]
    assert queue.counts() == {JobState.QUEUED: 9, JobState.DEAD: 1}


def test_what_is_due_is_known_without_taking_it(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    assert not queue.due(KINDS)
    enqueue(database, queue, job())
    assert queue.due(KINDS)
    assert not queue.due(["other"])
    leased = lease(queue, lease_s=30.0)
    assert not queue.due(KINDS)
    clock.advance(31)
    assert queue.due(KINDS)
    again = lease(queue)
    assert again.id == leased.id
    queue.retry(again, "later")
    assert not queue.due(KINDS)
    clock.advance(3600)
    assert queue.due(KINDS)


def test_how_long_the_oldest_due_job_waits_is_known(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    assert queue.due_since() is None
    enqueue(database, queue, job())
    begun = clock.now
    clock.advance(60)
    enqueue(database, queue, job(priority=1))
    clock.advance(60)
    since = queue.due_since()
    assert since is not None
    assert clock.now - since == pytest.approx(timedelta(seconds=120), abs=timedelta(seconds=5)), begun
    queue.retry(lease(queue), "later")
    complete(database, queue, lease(queue))
    assert queue.due_since() is None


def test_a_job_that_is_held_stays_ours_to_the_end_of_the_transaction(
    database: SqlDatabase, queue: JobQueue, clock: Clock
) -> None:
    enqueue(database, queue, job())
    first = lease(queue, lease_s=30.0)
    with database.transaction() as uow:
        queue.hold(uow, first)
    clock.advance(31)
    with database.transaction() as uow:
        queue.hold(uow, first)  # nobody has taken it over
    second = lease(queue)
    with pytest.raises(LeaseLost), database.transaction() as uow:
        queue.hold(uow, first)
    with database.transaction() as uow:
        queue.hold(uow, second)
        queue.complete(uow, second)
    with pytest.raises(LeaseLost), database.transaction() as uow:
        queue.hold(uow, second)


def test_a_dead_job_is_revived_with_all_its_attempts(database: SqlDatabase, queue: JobQueue, clock: Clock) -> None:
    [job_id] = enqueue(database, queue, job(dedupe_key="a", video_id="v"))
    with database.transaction() as uow:
        assert queue.revive(uow, job_id) is None
    exhaust(queue, clock)
    with database.transaction() as uow:
        assert queue.revive(uow, job_id) is None  # not dead yet
        queue.bury(uow)
        revived = queue.revive(uow, job_id)
    assert revived is not None
    assert (revived.id, revived.state, revived.attempts, revived.video_id) == (job_id, JobState.QUEUED, 0, "v")
    assert enqueue(database, queue, job(dedupe_key="a")) == [job_id]
    exhaust(queue, clock, 4)
    leased = lease(queue)
    assert leased.attempts == 5
    assert leased.last_error == "no luck"
    complete(database, queue, leased)
    assert queue.get([job_id])[job_id].last_error is None


def test_ended_jobs_are_forgotten_in_time_but_for_dead_ones(
    database: SqlDatabase, queue: JobQueue, clock: Clock
) -> None:
    done, dead, cancelled, waiting, new = enqueue(database, queue, *(job(i) for i in range(5)))
    complete(database, queue, lease(queue))
    fail(database, queue, lease(queue))
    with database.transaction() as uow:
        queue.cancel(uow, job_id=cancelled)
    clock.advance(3600)
    leased = queue.lease(KINDS, lease_s=30)
    assert leased is not None
    with database.transaction() as uow:
        queue.cancel(uow, job_id=new)
        assert queue.prune(uow, clock.now - timedelta(hours=2)) == 0
        assert queue.prune(uow, clock.now - timedelta(minutes=30)) == 2
    assert set(queue.get([done, dead, cancelled, waiting, new])) == {dead, waiting, new}
    complete(database, queue, leased)


def test_threads_never_share_a_job(database: SqlDatabase, queue: JobQueue) -> None:
    ids = enqueue(database, queue, *(job(i) for i in range(60)))

    def work(_: int) -> list[str]:
        mine = []
        while (leased := queue.lease(KINDS, lease_s=30.0)) is not None:
            mine.append(leased.id)
            complete(database, queue, leased)
        return mine

    with ThreadPoolExecutor(6) as pool:
        done = [job_id for mine in pool.map(work, range(6)) for job_id in mine]
    assert sorted(done) == sorted(ids)
