"""Copies that browsers play: planned when a video is indexed, made beside all other work. Real SQL store and queue."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from tests.worker_rig import DEADLINE_S, Rig, wait_for
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.erase import Eraser
from vidrec.application.jobs import RENDER_VIDEO, index_job, render_job
from vidrec.application.patience import Patience
from vidrec.domain.errors import FailureReason, StoreUnavailable
from vidrec.domain.models import Job, JobState, Playback, VideoStatus
from vidrec.domain.playback import TRANSCODING, Playable, Rendering, playable

HEVC = FakeVideo(container="mov", video_codec="hevc")
H264 = FakeVideo(container="matroska", video_codec="h264", has_audio=True)


@pytest.fixture
def rig(database: SqlDatabase, tmp_path: Path) -> Rig:
    rig = Rig(database, tmp_path)
    rig.frames = FakeFrameSource({"phone.mov": HEVC, "film.mkv": H264, "gone.mov": FailureReason.MISSING})
    return rig


def state(rig: Rig, video_id: str) -> tuple[VideoStatus, Playback | None, Playable]:
    video = rig.video(video_id)
    return video.status, video.playback, playable(video)


def copies(rig: Rig) -> dict[str, bytes]:
    return {key: data for key, data in rig.store.objects.items() if key.startswith("renditions/")}


def render_jobs(rig: Rig) -> list[Job]:
    return [job for job in rig.queue.list() if job.kind == RENDER_VIDEO]


def test_an_original_that_plays_needs_no_copy(rig: Rig) -> None:
    video_id = rig.add("clip.webm")
    rig.work()
    assert state(rig, video_id) == (VideoStatus.INDEXED, Playback.ORIGINAL, Playable.YES)
    assert render_jobs(rig) == []
    assert rig.renderer.made == []


def test_one_that_does_not_gets_a_copy_after_it_is_indexed(rig: Rig) -> None:
    rig.renderer.gate.clear()
    video_id = rig.add("phone.mov")
    with rig.working(concurrency=1):
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
        assert state(rig, video_id) == (VideoStatus.INDEXED, Playback.PREPARING, Playable.PREPARING)
        assert rig.renderer.entered.wait(DEADLINE_S)
        assert copies(rig) == {}
        rig.renderer.gate.set()
        wait_for(lambda: rig.video(video_id).playback is Playback.RENDITION)
    assert state(rig, video_id)[2] is Playable.YES
    assert rig.renderer.made == [TRANSCODING]
    assert rig.store.read(str(rig.video(video_id).rendition)) == b"mp4 of phone.mov"


def test_what_can_be_copied_is_not_decoded(rig: Rig) -> None:
    video_id = rig.add("film.mkv")
    rig.work()
    assert rig.renderer.made == [Rendering("mp4", copy_video=True, copy_audio=False)]
    assert rig.video(video_id).rendition == f"media:///renditions/{video_id}/play.mp4"


def test_what_cannot_be_copied_after_all_is_transcoded(rig: Rig) -> None:
    copying = Rendering("mp4", copy_video=True, copy_audio=False)
    rig.renderer.refused = {copying}
    video_id = rig.add("film.mkv")
    rig.work()
    assert rig.renderer.made == [copying, TRANSCODING]
    assert rig.video(video_id).playback is Playback.RENDITION


def test_sound_that_cannot_be_decoded_is_left_out(rig: Rig) -> None:
    rig.renderer.refuses_sound = True
    video_id = rig.add("film.mkv")
    rig.work()
    assert len(rig.renderer.made) == 3
    assert rig.video(video_id).playback is Playback.RENDITION


def test_what_takes_too_long_is_not_tried_in_yet_another_way(rig: Rig) -> None:
    rig.renderer.refuses_sound, rig.renderer.reason = True, FailureReason.DECODE_LIMIT
    video_id = rig.add("film.mkv")
    rig.work()
    assert len(rig.renderer.made) == 2
    assert rig.video(video_id).playback is Playback.FAILED


def test_without_a_copy_the_video_stays_indexed_and_says_no(rig: Rig) -> None:
    rig.renderer.refused = {TRANSCODING}
    video_id = rig.add("phone.mov")
    rig.work()
    assert state(rig, video_id) == (VideoStatus.INDEXED, Playback.FAILED, Playable.NO)
    assert rig.video(video_id).failure_reason is None
    assert [job.state for job in render_jobs(rig)] == [JobState.DONE]
    assert copies(rig) == {}


def test_a_defect_is_tried_five_times_and_never_changes_indexed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vidrec.adapters.sqlite_queue.FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("vidrec.application.worker.BURY_EVERY_S", 0.01)
    rig.renderer.error = RuntimeError("a defect that nobody knows of")
    video_id = rig.add("phone.mov")
    with caplog.at_level(logging.CRITICAL):
        rig.work(lease_s=1.0)
    assert state(rig, video_id) == (VideoStatus.INDEXED, Playback.FAILED, Playable.NO)
    assert len(rig.renderer.made) == 5


def test_no_room_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrec.adapters.sqlite_queue.FIRST_RETRY_S", 0.001)
    rig.renderer.error = StoreUnavailable("there is no room")
    video_id = rig.add("phone.mov")
    with rig.working():
        wait_for(lambda: any(job.last_error for job in render_jobs(rig)))
        rig.renderer.error = None
        wait_for(lambda: rig.video(video_id).playback is Playback.RENDITION)


def test_a_running_copy_holds_no_other_job_up(rig: Rig) -> None:
    rig.renderer.gate.clear()
    first = rig.add("phone.mov")
    with rig.working(concurrency=1):
        assert rig.renderer.entered.wait(DEADLINE_S)
        others = [rig.add(f"{n}.webm") for n in range(3)]
        wait_for(lambda: all(rig.status(video_id) is VideoStatus.INDEXED for video_id in others))
        assert rig.video(first).playback is Playback.PREPARING
        rig.renderer.gate.set()
        wait_for(lambda: rig.video(first).playback is Playback.RENDITION)


def test_one_copy_is_made_at_a_time_whatever_the_concurrency(rig: Rig) -> None:
    rig.frames = FakeFrameSource({f"{n}.mov": HEVC for n in range(4)})
    rig.renderer.gate.clear()
    ids = [rig.add(f"{n}.mov") for n in range(4)]
    with rig.working(concurrency=3):
        wait_for(lambda: all(rig.status(video_id) is VideoStatus.INDEXED for video_id in ids))
        assert rig.renderer.entered.wait(DEADLINE_S)
        assert len(rig.renderer.made) == 1
        rig.renderer.gate.set()
        wait_for(lambda: all(rig.video(video_id).playback is Playback.RENDITION for video_id in ids))


def test_no_copy_is_begun_while_others_wait(rig: Rig) -> None:
    """However the worker finds them."""
    waiting = rig.add("clip.webm")
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [render_job(rig.video(waiting).id)])
    order: list[str] = []
    real = rig.queue.lease

    def lease(kinds, *, lease_s):  # type: ignore[no-untyped-def]
        job = real(kinds, lease_s=lease_s)
        if job is not None:
            order.append(job.kind)
        return job

    rig.queue.lease = lease  # type: ignore[method-assign]
    rig.work()
    assert order == ["index_video", "render_video"]


def test_indexing_again_keeps_the_copy_and_tries_what_failed_anew(rig: Rig) -> None:
    rig.renderer.refused = {TRANSCODING}
    kept, failed = rig.add("film.mkv"), rig.add("phone.mov")
    rig.work()
    rig.renderer.refused = set()
    rig.renderer.made.clear()
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [index_job(kept), index_job(failed)])
    rig.work()
    assert rig.renderer.made == [TRANSCODING]
    assert {rig.video(video_id).playback for video_id in (kept, failed)} == {Playback.RENDITION}


def test_killed_at_any_moment_it_is_done_again(rig: Rig) -> None:
    """Also right after the copy was written: the next one replaces it."""
    video_id = rig.add("phone.mov")
    rig.renderer.gate.clear()
    with rig.working():
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    assert rig.queue.lease([RENDER_VIDEO], lease_s=30.0) is not None  # by a worker that is never heard of again
    rig.store.put(f"renditions/{video_id}/play.mp4", b"written, but not told")
    assert rig.video(video_id).playback is Playback.PREPARING
    rig.renderer.gate.set()
    rig.clock.ahead = timedelta(seconds=31)
    rig.work()
    assert rig.video(video_id).playback is Playback.RENDITION
    assert copies(rig) == {f"renditions/{video_id}/play.mp4": b"mp4 of phone.mov"}
    [job] = render_jobs(rig)
    assert (job.state, job.attempts) == (JobState.DONE, 2)


def test_a_worker_that_overslept_changes_nothing(rig: Rig) -> None:
    video_id = rig.add("phone.mov")
    rig.renderer.gate.clear()
    with rig.working():
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    stale = rig.queue.lease([RENDER_VIDEO], lease_s=30.0)
    assert stale is not None
    rig.renderer.gate.set()
    rig.clock.ahead = timedelta(seconds=60)
    rig.work()
    rig.renderer.refused = {TRANSCODING}
    rig.worker()._do(stale, Patience(lost=threading.Event(), stop=threading.Event(), limit_s=1))
    assert rig.video(video_id).playback is Playback.RENDITION


def test_told_to_stop_it_gives_the_job_back_at_once(rig: Rig) -> None:
    rig.renderer.gate.clear()
    rig.add("phone.mov")
    with rig.working():
        assert rig.renderer.entered.wait(DEADLINE_S)
    [job] = render_jobs(rig)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_deleting_ends_the_work_and_leaves_nothing(rig: Rig) -> None:
    rig.renderer.gate.clear()
    video_id = rig.add("phone.mov")
    with rig.working(lease_s=1.0):
        assert rig.renderer.entered.wait(DEADLINE_S)
        receipt = Eraser(rig.database, rig.queue).erase_video(video_id)
        wait_for(lambda: Eraser(rig.database, rig.queue).receipt(receipt.id).completed_at)
        second = rig.add("film.mkv")
        wait_for(lambda: len(rig.renderer.made) == 2)  # the gate is shut: only the lost lease ended the first
        rig.renderer.gate.set()
        wait_for(lambda: rig.video(second).playback is Playback.RENDITION)
    assert list(copies(rig)) == [f"renditions/{second}/play.mp4"]


def test_deleting_right_after_the_copy_was_written_takes_it_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = rig.add("phone.mov")
    real = rig.store.put_file

    def put_file(key, file):  # type: ignore[no-untyped-def]
        Eraser(rig.database, rig.queue).erase_video(video_id)
        return real(key, file)

    monkeypatch.setattr(rig.store, "put_file", put_file)
    rig.work(lease_s=1.0)
    assert copies(rig) == {}


def test_an_erasure_removes_the_copy(rig: Rig) -> None:
    video_id = rig.add("phone.mov")
    rig.work()
    assert len(copies(rig)) == 1
    Eraser(rig.database, rig.queue).erase_video(video_id)
    rig.work()
    assert copies(rig) == {}


def test_an_original_that_is_gone_cannot_be_copied(rig: Rig) -> None:
    video_id = rig.add("phone.mov")
    rig.renderer.gate.clear()
    with rig.working():
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    (rig.folder / "phone.mov").unlink()
    rig.renderer.gate.set()
    rig.work()
    assert state(rig, video_id) == (VideoStatus.INDEXED, Playback.FAILED, Playable.NO)


def test_videos_of_an_older_release_are_asked_too(rig: Rig) -> None:
    plays, does_not = rig.add("clip.webm"), rig.add("phone.mov")
    rig.renderer.gate.clear()
    with rig.working():
        wait_for(lambda: {rig.status(v) for v in (plays, does_not)} == {VideoStatus.INDEXED})
    with rig.database.transaction() as uow:
        uow.connection.execute(text("UPDATE videos SET playback = NULL"))
        uow.connection.execute(text("DELETE FROM jobs"))
    assert [state(rig, v)[2] for v in (plays, does_not)] == [Playable.YES, Playable.PREPARING]
    rig.renderer.gate.set()
    with rig.working():
        wait_for(lambda: rig.video(does_not).playback is Playback.RENDITION)
    assert rig.video(plays).playback is Playback.ORIGINAL
