"""`vidrec jobs` and `vidrec migrate` on both databases."""

from __future__ import annotations

import json

import pytest

from tests.contract.sql import add
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.jobs import ERASE_VIDEO, INDEX_VIDEO, RENDER_VIDEO, index_job, render_job
from vidrec.application.ports import JobQueue
from vidrec.cli import main
from vidrec.domain.errors import FailureReason, LeaseLost
from vidrec.domain.models import Job, JobState, NewJob, Playback, Video, VideoStatus, new_id


@pytest.fixture(autouse=True)
def _settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDREC_DATABASE_URL", database_url)


def vidrec(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> object:
    """What a command writes to stdout as JSON."""
    assert vidrec(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out)


def enqueue(database: SqlDatabase, queue: JobQueue, *jobs: NewJob) -> list[str]:
    with database.transaction() as uow:
        return list(queue.enqueue(uow, jobs))


def lease(queue: JobQueue, kind: str = INDEX_VIDEO) -> Job:
    leased = queue.lease([kind], lease_s=60)
    assert leased is not None
    return leased


def give_up(database: SqlDatabase, queue: JobQueue, kind: str = INDEX_VIDEO) -> Job:
    leased = lease(queue, kind)
    with database.transaction() as uow:
        queue.fail(uow, leased, "no luck")
    return leased


def video_of(database: SqlDatabase, video_id: str) -> Video:
    with database.snapshot() as uow:
        return uow.catalogue.get([video_id])[video_id]


def test_jobs_are_listed(database: SqlDatabase, queue: JobQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "jobs", "list") == []
    first, second = enqueue(database, queue, index_job("v"), index_job("w"))
    give_up(database, queue)
    assert [job["id"] for job in told(capsys, "jobs", "list")] == [second, first]  # type: ignore[attr-defined]
    [dead] = told(capsys, "jobs", "list", "--state", "dead")  # type: ignore[misc]
    expected = {"id": first, "kind": INDEX_VIDEO, "video_id": "v", "state": "dead", "priority": 0, "attempts": 1}
    assert {name: dead[name] for name in expected} == expected
    assert dead["last_error"] == "no luck"
    assert vidrec("jobs", "list", "--limit", "1") == 0
    [_, line] = capsys.readouterr().out.splitlines()
    assert line.split()[:4] == [second, INDEX_VIDEO, "w", "queued"]
    assert vidrec("jobs", "list", "--state", "asleep") == 2


def test_a_dead_job_is_tried_again_with_its_video(
    database: SqlDatabase, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    video, other = add(database), add(database)
    enqueue(database, queue, index_job(video.id), render_job(other.id))
    index, render = give_up(database, queue), give_up(database, queue, RENDER_VIDEO)
    with database.transaction() as uow:
        uow.catalogue.mark_failed(video.id, FailureReason.GAVE_UP, "given up")
        uow.catalogue.set_playback(other.id, Playback.FAILED)
    answer = told(capsys, "jobs", "retry", "--all")
    assert answer == {"done": [render.id, index.id], "refused": {}}
    assert video_of(database, video.id).status is VideoStatus.QUEUED
    assert video_of(database, other.id).playback is Playback.PREPARING
    again = lease(queue)
    assert (again.id, again.attempts) == (index.id, 1)
    assert told(capsys, "jobs", "retry", again.id, code=1) == {
        "done": [],
        "refused": {again.id: f"job {again.id} is running: only dead jobs are tried again"},
    }
    assert vidrec("jobs", "retry", "--all") == 0
    assert "no dead jobs" in capsys.readouterr().err
    assert vidrec("jobs", "retry") == 2


def test_a_dead_job_stays_where_the_same_work_waits(
    database: SqlDatabase, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    video = add(database)
    enqueue(database, queue, index_job(video.id))
    dead = give_up(database, queue)
    [live] = enqueue(database, queue, index_job(video.id))
    with database.transaction() as uow:
        uow.catalogue.mark_processing(video.id)
        assert queue.revive(uow, live) is None
        assert queue.revive(uow, new_id()) is None
    assert vidrec("jobs", "retry", dead.id) == 1
    assert "the same work waits" in capsys.readouterr().err
    assert video_of(database, video.id).status is VideoStatus.PROCESSING


def test_jobs_are_cancelled(database: SqlDatabase, queue: JobQueue, capsys: pytest.CaptureFixture[str]) -> None:
    videos = [add(database) for _ in range(3)]
    ids = enqueue(database, queue, index_job(videos[0].id), index_job(videos[1].id), render_job(videos[2].id))
    running = lease(queue)
    assert vidrec("jobs", "cancel", *ids, "77") == 1
    said = capsys.readouterr().err
    assert said.count("cancelled") == 3
    assert "its worker stops" in said
    assert "there is no job 77" in said
    with pytest.raises(LeaseLost):
        queue.renew(running, lease_s=60)
    assert {job.state for job in queue.get(ids).values()} == {JobState.CANCELLED}
    assert [video_of(database, v.id).status for v in videos[:2]] == [VideoStatus.FAILED] * 2
    assert video_of(database, videos[2].id).playback is Playback.FAILED
    assert told(capsys, "jobs", "cancel", ids[0], code=1)["done"] == []  # type: ignore[index]


def test_what_was_promised_is_not_cancelled(
    database: SqlDatabase, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    [job_id] = enqueue(database, queue, NewJob(kind=ERASE_VIDEO, payload={}, video_id="v"))
    assert vidrec("jobs", "cancel", job_id) == 1
    assert "promised" in capsys.readouterr().err
    assert queue.get([job_id])[job_id].state is JobState.QUEUED


def test_migrate_checks(database: SqlDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    assert vidrec("migrate", "--check") == 0
    assert vidrec("migrate") == 0
    capsys.readouterr()
    from sqlalchemy import text

    def set_revision(revision: str) -> str:
        with database.transaction() as uow:
            known = str(uow.connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
            uow.connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        return known

    known = set_revision("0000")
    try:
        for command in (["migrate", "--check"], ["jobs", "list"]):
            assert vidrec(*command) == 1
            error = capsys.readouterr().err
            assert "the SQL schema is at 0000" in error
            assert "run `vidrec migrate`" in error
            assert error.count("\n") == 1
    finally:
        set_revision(known)
