"""The worker: real SQL store and queue, fakes for what is outside."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.encoder import FakeEncoder
from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from tests.fakes.index import FakeIndex
from tests.worker_rig import BLUE, DEADLINE_S, GREY, MODEL, NEXT_MODEL, RED, Rig, wait_for
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sql.progress import SqlProgressNotes
from vidrec.application import pictures, progress
from vidrec.application import worker as worker_module
from vidrec.application.erase import Eraser
from vidrec.application.jobs import index_job
from vidrec.application.patience import Patience
from vidrec.application.ports import VideoChanges
from vidrec.domain.errors import FailureReason, StoreUnavailable
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import (
    Embeddings,
    Frames,
    Job,
    JobState,
    MediaInfo,
    ModelVersion,
    RecommendationRecord,
    SampledFrames,
    Segment,
    TimeRange,
    VideoStatus,
    VideoVector,
    new_id,
    utc_now,
)
from vidrec.domain.segmentation import CHUNK_S
from vidrec.domain.uploads import Stage, VideoProgress


@pytest.fixture
def rig(database: SqlDatabase, tmp_path: Path) -> Rig:
    return Rig(database, tmp_path)


class GatedEncoder(FakeEncoder):
    """Holds its callers back until `gate` is set; `entered` says that one has come."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        self.entered.set()
        assert self.gate.wait(DEADLINE_S)
        return super().encode(frames, model_version=model_version)


# --------------------------------------------------------------------------------------- what is written


def test_a_video_becomes_recommendable(rig: Rig) -> None:
    rig.frames = FakeFrameSource({"clip.webm": FakeVideo(scenes=(RED, BLUE), duration_s=40.0, has_audio=True)})
    video_id = rig.add(category="films")
    rig.work()
    video = rig.video(video_id)
    segments = rig.segments(video_id)
    assert (video.status, video.indexed_model, video.segment_count) == (VideoStatus.INDEXED, MODEL.version, 2)
    assert video.media == MediaInfo(
        container="webm", video_codec="vp9", audio_codec="opus", width=320, height=180, duration_s=40.0
    )
    assert [s.number for s in segments] == [0, 1]
    assert (segments[0].time.start_s, segments[-1].time.end_s) == (0.0, 40.0)
    assert segments[0].time.end_s == pytest.approx(20.0, abs=2.0)
    assert float(segments[0].embedding @ segments[1].embedding) < 0.9
    [[hit]] = rig.index.search(MODEL, segments[0].embedding[np.newaxis], limit=5, only=VideoFilter(category="films"))
    assert hit.video_id == video_id
    assert rig.job().state is JobState.DONE


def test_pictures_are_kept_for_people(rig: Rig) -> None:
    rig.frames = FakeFrameSource({"clip.webm": FakeVideo(scenes=(RED, BLUE), duration_s=40.0)})
    video_id = rig.add()
    rig.work()
    assert rig.kept(video_id) == [
        *(f"{MODEL.version}/{n:06d}-{k}.jpg" for n in range(2) for k in range(3)),
        "thumbnail.jpg",
    ]
    assert all(data.startswith(b"\xff\xd8") for data in rig.store.objects.values())


def test_the_thumbnail_is_not_a_flat_picture_where_there_is_another(rig: Rig) -> None:
    class HalfFlat(FakeFrameSource):
        """The longer first scene is one flat colour; in the second one every frame has detail."""

        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            noise = np.random.default_rng(1).integers(0, 255, (224, 224, 3), dtype=np.uint8)
            for part in super().sample(path, info, within, batch=batch):
                detailed = part.times_s > 30.0
                part.frames[detailed] = noise
                shown = [b"detail" if d else b"flat" for d in detailed]
                yield SampledFrames(part.times_s, part.frames, shown)

    rig.frames = HalfFlat({"clip.webm": FakeVideo(scenes=(GREY,), duration_s=40.0)})
    video_id = rig.add()
    rig.work()
    assert rig.store.objects[pictures.thumbnail_key(video_id)] == b"detail"


def test_doing_it_twice_gives_the_same_state(rig: Rig) -> None:
    video_id = rig.add()
    rig.work()
    before = ([(s.id, s.time, s.embedding.tolist()) for s in rig.segments(video_id)], dict(rig.store.objects))
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.work()
    assert ([(s.id, s.time, s.embedding.tolist()) for s in rig.segments(video_id)], rig.store.objects) == before
    assert rig.index.count(MODEL)[0] == 1


def test_a_video_that_became_shorter_leaves_no_pictures_behind(rig: Rig) -> None:
    rig.frames = FakeFrameSource({"clip.webm": FakeVideo(scenes=(RED, BLUE, RED, BLUE), duration_s=80.0)})
    video_id = rig.add()
    rig.work()
    assert rig.video(video_id).segment_count == 4
    rig.frames = FakeFrameSource({"clip.webm": FakeVideo(scenes=(RED,), duration_s=20.0)})
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.work()
    assert rig.video(video_id).segment_count == 1
    assert rig.kept(video_id) == [*(f"{MODEL.version}/000000-{k}.jpg" for k in range(3)), "thumbnail.jpg"]


def test_one_bad_file_does_not_stop_the_rest(rig: Rig) -> None:
    rig.frames = FakeFrameSource({"bad.webm": FailureReason.NOT_A_VIDEO, "dark.webm": FailureReason.NO_DECODABLE_FRAME})
    names = ("one.webm", "bad.webm", "two.webm", "dark.webm", "three.webm")
    ids = {name: rig.add(name) for name in names}
    rig.work()
    assert {name for name in names if rig.status(ids[name]) is VideoStatus.INDEXED} == {
        "one.webm",
        "two.webm",
        "three.webm",
    }
    bad = rig.video(ids["bad.webm"])
    assert (bad.status, bad.failure_reason) == (VideoStatus.FAILED, FailureReason.NOT_A_VIDEO)
    assert bad.failure_message == "bad.webm: not_a_video"
    assert rig.queue.counts() == {JobState.DONE: 5}


def test_a_file_that_is_gone_is_a_reason_of_its_own(rig: Rig) -> None:
    video_id = rig.add("clip.webm")
    (rig.folder / "clip.webm").unlink()
    rig.work()
    assert rig.video(video_id).failure_reason is FailureReason.MISSING


def test_a_video_without_any_frame_fails(rig: Rig) -> None:
    class Empty(FakeFrameSource):
        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            yield from ()

    rig.frames = Empty()
    video_id = rig.add()
    rig.work()
    assert rig.video(video_id).failure_reason is FailureReason.NO_DECODABLE_FRAME
    assert rig.index.count(MODEL) == (0, 0)


def test_progress_is_noted_now_and_then_and_gone_in_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[VideoProgress] = []

    class Watched(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            with rig.database.snapshot() as uow:
                noted.extend(uow.progress.get([video_id]).values())
            return super().encode(frames, model_version=model_version)

    monkeypatch.setattr(progress, "REPORT_EVERY_S", 0.0)
    rig.encoder = Watched()
    rig.frames = FakeFrameSource({"clip.webm": FakeVideo(scenes=(RED, BLUE), duration_s=3000.0)})
    video_id = rig.add()
    rig.work()
    told = [note for note in noted if note.stage is Stage.DECODING]
    assert {note.total for note in told} == {3000}
    assert len({note.done for note in told}) > 1
    assert all(0 <= (note.done or 0) <= 3000 for note in told)
    assert {note.stage for note in noted} <= {Stage.DECODING, Stage.EMBEDDING}
    with rig.database.snapshot() as uow:
        assert uow.progress.get([video_id]) == {}


def test_a_short_video_costs_no_note(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(SqlProgressNotes, "put", never)
    video_id = rig.add()
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED


def test_a_worker_sweeps_by_itself_whatever_goes_wrong(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_EVERY_S", 0.01)
    swept: list[int] = []

    def sweep() -> None:
        swept.append(1)
        raise [StoreUnavailable("not now"), RuntimeError("a bug")][len(swept) % 2]

    with rig.working(sweep=sweep):  # type: ignore[arg-type]
        wait_for(lambda: len(swept) > 4)


# ---------------------------------------------------------------------------------------- long videos


def test_a_long_video_is_cut_at_ten_minutes_and_whole(rig: Rig) -> None:
    scenes = tuple((int(r), int(g), int(b)) for r, g, b in np.random.default_rng(5).integers(0, 255, (90, 3)))
    rig.frames = FakeFrameSource({"long.webm": FakeVideo(scenes=scenes, duration_s=3 * CHUNK_S + 42.0)})
    video_id = rig.add("long.webm")
    rig.work()
    segments = rig.segments(video_id)
    edges = [s.time.start_s for s in segments]
    assert {CHUNK_S, 2 * CHUNK_S, 3 * CHUNK_S} <= set(edges)
    assert [s.time.end_s for s in segments] == [*edges[1:], 3 * CHUNK_S + 42.0]
    assert [s.number for s in segments] == list(range(len(segments)))
    assert all(s.time.end_s - s.time.start_s <= 30.0 + 5.0 for s in segments)


def test_memory_does_not_grow_with_the_length(rig: Rig) -> None:
    """However slow the encoder is, the frames alive at a time are few."""

    class Counting(FakeFrameSource):
        begun = ended = most = 0

        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            for part in super().sample(path, info, within, batch=batch):
                self.begun += len(part.times_s)
                self.most = max(self.most, self.begun - sum(rig.encoder.batches))
                yield part

    class Slow(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            time.sleep(0.002)
            return super().encode(frames, model_version=model_version)

    rig.frames, rig.encoder = Counting({"long.webm": FakeVideo(duration_s=7200.0)}), Slow()
    rig.add("long.webm")
    rig.work()
    assert sum(rig.encoder.batches) == rig.frames.begun > 1000
    assert rig.frames.most <= 8 * 32
    assert max(rig.encoder.batches) == 32


# ------------------------------------------------------------------------------------ what may go wrong


def test_a_full_encoder_is_waited_for(rig: Rig) -> None:
    rig.encoder.overloaded = True
    video_id = rig.add()
    with rig.working():
        wait_for(lambda: rig.status(video_id) is VideoStatus.PROCESSING)
        rig.encoder.overloaded = False
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    assert rig.job().attempts == 1


@pytest.mark.parametrize("outage", ["encoder", "index", "store"])
def test_an_outage_is_waited_out(
    rig: Rig, outage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vidrec.adapters.sqlite_queue.FIRST_RETRY_S", 0.01)
    getattr(rig, outage).available = False
    video_id = rig.add()
    with rig.working():
        wait_for(lambda: "does not answer" in caplog.text)
        getattr(rig, outage).available = True
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)


def test_after_the_patience_the_attempt_counts(rig: Rig) -> None:
    rig.encoder.overloaded = True
    video_id = rig.add()
    with rig.working(patience_s=0.05):
        wait_for(lambda: rig.job().last_error)
        assert rig.status(video_id) is VideoStatus.QUEUED
    assert "full" in str(rig.job().last_error)
    assert (rig.job().state, rig.job().attempts) == (JobState.QUEUED, 1)


def test_a_poison_video_is_given_up_after_five(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Poison(FakeFrameSource):
        tries = 0

        def probe(self, path: Path) -> MediaInfo:
            if path.name == "poison.webm":
                self.tries += 1
                raise RuntimeError("a defect that nobody knows of")
            return super().probe(path)

    monkeypatch.setattr("vidrec.adapters.sqlite_queue.FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("vidrec.application.worker.BURY_EVERY_S", 0.01)
    rig.frames = Poison()
    poison, good = rig.add("poison.webm"), rig.add("good.webm")
    with caplog.at_level(logging.CRITICAL):
        rig.work(lease_s=1.0)
    video = rig.video(poison)
    assert (video.status, video.failure_reason) == (VideoStatus.FAILED, FailureReason.GAVE_UP)
    assert video.failure_message == "given up after 5 attempts: RuntimeError: a defect that nobody knows of"
    assert rig.frames.tries == 5
    assert rig.status(good) is VideoStatus.INDEXED
    assert rig.queue.counts() == {JobState.DEAD: 1, JobState.DONE: 1}


def test_a_worker_that_died_leaves_its_job_to_another(rig: Rig) -> None:
    video_id = rig.add()
    assert rig.queue.lease(["index_video"], lease_s=30.0) is not None  # and never heard of again
    with rig.database.transaction() as uow:
        uow.catalogue.mark_processing(video_id)
    rig.clock.ahead = timedelta(seconds=31)
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert rig.job().attempts == 2


def test_a_lost_lease_ends_the_work(rig: Rig) -> None:
    """The other worker's outcome stands, whatever the late one still does."""
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add()
    with rig.working(lease_s=2.0, concurrency=1):
        assert encoder.entered.wait(DEADLINE_S)
        rig.clock.ahead = timedelta(seconds=60)
        taken = rig.queue.lease(["index_video"], lease_s=3600.0)
        assert taken is not None
        with rig.database.transaction() as uow:
            uow.catalogue.mark_failed(video_id, FailureReason.GAVE_UP, "by the other worker")
            rig.queue.complete(uow, taken)
        encoder.gate.set()
        second = rig.add("second.webm")
        wait_for(lambda: rig.status(second) is VideoStatus.INDEXED)
    assert rig.video(video_id).failure_message == "by the other worker"


def test_a_worker_that_overslept_does_not_touch_the_video(rig: Rig) -> None:
    video_id = rig.add()
    stale = rig.queue.lease(["index_video"], lease_s=30.0)
    assert stale is not None
    rig.clock.ahead = timedelta(seconds=60)
    rig.work()
    worker = rig.worker()
    worker._do(stale, Patience(lost=threading.Event(), stop=threading.Event(), limit_s=1))
    assert rig.status(video_id) is VideoStatus.INDEXED


def test_the_lease_is_renewed_while_the_work_lasts(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add()
    with rig.working(lease_s=0.6):
        assert encoder.entered.wait(DEADLINE_S)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert rig.queue.lease(["index_video"], lease_s=1) is None
            time.sleep(0.05)
        encoder.gate.set()
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    assert rig.job().attempts == 1


def test_deleting_during_the_work_leaves_nothing(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add()
    with rig.working(lease_s=2.0):
        assert encoder.entered.wait(DEADLINE_S)
        receipt = Eraser(rig.database, rig.queue).erase_video(video_id)
        encoder.gate.set()
        wait_for(lambda: Eraser(rig.database, rig.queue).receipt(receipt.id).completed_at)
    rig.work()
    assert rig.index.count(MODEL) == (0, 0)
    assert rig.kept(video_id) == []


def test_a_receipt_tells_what_remains_until_nothing_does(rig: Rig) -> None:
    class Stubborn(FakeIndex):
        """Says that it deletes, and does so once it is told to."""

        deletes = False

        def delete(self, model: ModelVersion, video_ids: Sequence[str]) -> None:
            if self.deletes:
                super().delete(model, video_ids)

    rig.index = index = Stubborn()
    video_id = rig.add()
    rig.work()
    eraser = Eraser(rig.database, rig.queue)
    receipt = eraser.erase_video(video_id)
    with rig.working():
        wait_for(lambda: eraser.receipt(receipt.id).looked_at)
        found = eraser.receipt(receipt.id)
        assert (found.completed_at, found.remaining > 1) == (None, True)
        assert {look.store for look in found.looks if look.found} == {"vectors"}
        index.deletes = True
        wait_for(lambda: eraser.receipt(receipt.id).completed_at)
    done = eraser.receipt(receipt.id)
    assert (done.remaining, done.probes > 1) == (0, True)
    assert all(job.attempts == 1 for job in rig.queue.list())


def test_deleting_just_before_the_end_takes_back_what_was_written(rig: Rig) -> None:
    class Deleting(FakeIndex):
        """The video is deleted, and its erasure done, right after its vectors were written."""

        def upsert(self, model: ModelVersion, video: VideoVector, segments: Sequence[Segment]) -> None:
            Eraser(rig.database, rig.queue).erase_video(video.video_id)
            rig.worker(lease_s=1.0).run(threading.Event(), until_empty=True)
            super().upsert(model, video, segments)

    rig.index = Deleting()
    video_id = rig.add()
    rig.work(lease_s=1.0)
    assert rig.index.count(MODEL) == (0, 0)
    assert rig.kept(video_id) == []


def test_a_deleted_video_is_not_begun(rig: Rig) -> None:
    video_id = rig.add()
    with rig.database.transaction() as uow:
        uow.catalogue.tombstone(video_id)
    rig.work()
    assert rig.encoder.batches == []
    assert rig.job().state is JobState.DONE


def test_an_erasure_outlasts_an_outage_of_the_index(rig: Rig) -> None:
    video_id = rig.add()
    rig.work()
    rig.index.available = False
    receipt = Eraser(rig.database, rig.queue).erase_video(video_id)
    with rig.working():
        wait_for(lambda: rig.queue.counts().get(JobState.RUNNING))
        rig.index.available = True
        wait_for(lambda: Eraser(rig.database, rig.queue).receipt(receipt.id).completed_at)
    assert rig.index.count(MODEL) == (0, 0)
    assert all(job.attempts == 1 for job in rig.queue.list())


def test_a_category_changed_during_the_work_is_found_by(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add(category="before")
    with rig.working():
        assert encoder.entered.wait(DEADLINE_S)
        with rig.database.transaction() as uow:
            uow.catalogue.change(video_id, VideoChanges(category="after"))
        encoder.gate.set()
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    query = rig.segments(video_id)[0].embedding[np.newaxis]
    assert rig.index.search(MODEL, query, limit=1, only=VideoFilter(category="after")) != [[]]
    assert rig.index.search(MODEL, query, limit=1, only=VideoFilter(category="before")) == [[]]


# --------------------------------------------------------------------------------------------- the model


def test_no_model_and_the_wrong_model_are_waited_for(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.activate(NEXT_MODEL)  # which the encoder does not hold
    video_id = rig.add()
    with caplog.at_level(logging.WARNING), rig.working(concurrency=1):
        wait_for(lambda: "waiting" in caplog.text)
        rig.activate(MODEL)
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
    assert [r.getMessage() for r in caplog.records] == ["waiting: no encoder serves model version mnext00000000"]
    assert rig.job().attempts == 1


def test_a_model_that_changed_meanwhile_makes_another_round(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add()
    with rig.working(concurrency=1):
        assert encoder.entered.wait(DEADLINE_S)
        rig.activate(NEXT_MODEL)
        encoder.gate.set()
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
        encoder.model_version = NEXT_MODEL.version
        wait_for(lambda: rig.video(video_id).indexed_model == NEXT_MODEL.version)
    assert rig.index.count(NEXT_MODEL)[0] == 1


# ------------------------------------------------------------------------------------------- the process


def test_told_to_stop_it_gives_its_job_back_at_once(rig: Rig) -> None:
    class Endless(FakeFrameSource):
        """Decodes until it is ended; `closed` says that it was."""

        closed = threading.Event()

        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            [first, *_] = super().sample(path, info, within, batch=batch)
            try:
                while True:
                    time.sleep(0.05)
                    yield first
            finally:
                self.closed.set()

    rig.frames = Endless()
    video_id = rig.add()
    with rig.working(concurrency=1):
        wait_for(lambda: rig.encoder.batches)
        began = time.monotonic()
    assert time.monotonic() - began < 3.0
    assert rig.frames.closed.wait(DEADLINE_S)
    assert (rig.job().state, rig.job().attempts, rig.status(video_id)) == (JobState.QUEUED, 0, VideoStatus.QUEUED)
    rig.frames = FakeFrameSource()
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED


def test_told_to_stop_it_ends_what_it_began_within_the_setting(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    first, second = rig.add("a.webm"), rig.add("b.webm")
    with rig.working(concurrency=1, drain_s=DEADLINE_S):
        assert encoder.entered.wait(DEADLINE_S)
        threading.Timer(1.0, encoder.gate.set).start()  # after the worker was told to stop
    done = {rig.status(first), rig.status(second)}
    assert done == {VideoStatus.INDEXED, VideoStatus.QUEUED}, "one was begun, and ended; the other was not begun"


def test_what_is_not_ended_within_the_setting_is_given_back(rig: Rig) -> None:
    rig.encoder = encoder = GatedEncoder()
    video_id = rig.add()
    began = 0.0
    with rig.working(concurrency=1, drain_s=0.5):
        assert encoder.entered.wait(DEADLINE_S)
        began = time.monotonic()
        threading.Timer(2.0, encoder.gate.set).start()
    assert time.monotonic() - began > 0.5
    assert (rig.job().state, rig.job().attempts, rig.status(video_id)) == (JobState.QUEUED, 0, VideoStatus.QUEUED)


def test_a_stuck_decoder_does_not_hold_up_the_end(rig: Rig) -> None:
    release = threading.Event()

    class Stuck(FakeFrameSource):
        entered = threading.Event()

        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            self.entered.set()
            assert release.wait(DEADLINE_S)
            yield from super().sample(path, info, within, batch=batch)

    rig.frames = Stuck()
    rig.add()
    with rig.working(concurrency=1):
        assert rig.frames.entered.wait(DEADLINE_S)
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert rig.job().state is JobState.QUEUED
    release.set()


def test_several_are_worked_on_at_a_time(rig: Rig) -> None:
    class Meeting(FakeEncoder):
        barrier = threading.Barrier(2)

        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            self.barrier.wait(DEADLINE_S)
            return super().encode(frames, model_version=model_version)

    rig.encoder = Meeting()
    ids = [rig.add(f"{n}.webm") for n in range(4)]
    rig.work(concurrency=2)
    assert {rig.status(video_id) for video_id in ids} == {VideoStatus.INDEXED}


def test_the_index_is_flushed_after_a_burst_not_after_each(rig: Rig) -> None:
    for n in range(30):
        rig.add(f"{n}.webm")
    rig.work()
    calls = [name for name in rig.index.calls if name in ("upsert", "flush")]
    assert calls.count("upsert") == 30
    assert 1 <= calls.count("flush") <= 5
    assert calls[-1] == "flush"


def test_a_defect_while_looking_for_work_ends_no_thread(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = rig.queue.lease, iter([ValueError("once"), ValueError("twice")])

    def lease(kinds: Sequence[str], *, lease_s: float) -> Job | None:
        for failure in failures:
            raise failure
        return real(kinds, lease_s=lease_s)

    monkeypatch.setattr(rig.queue, "lease", lease)
    video_id = rig.add()
    rig.work(concurrency=2)
    assert rig.status(video_id) is VideoStatus.INDEXED


def test_old_recommendations_are_forgotten(rig: Rig) -> None:
    now = utc_now()
    old, new = (
        RecommendationRecord(
            id=new_id(),
            user_id="u",
            created_at=now - timedelta(days=days),
            model_version=MODEL.version,
            code_version="1",
            strategy="popular",
            degraded=False,
            interaction_cutoff=0,
            interests=(),
            parameters={},
            candidates=(),
        )
        for days in (8, 6)
    )
    with rig.database.transaction() as uow:
        uow.recommendations.add(old)
        uow.recommendations.add(new)

    def kept() -> list[bool]:
        with rig.database.snapshot() as uow:
            return [uow.recommendations.get(record.id) is not None for record in (old, new)]

    with rig.working(recommendation_days=7.0):
        wait_for(lambda: kept() == [False, True])


def test_the_index_is_connected_to_before_there_is_work(rig: Rig) -> None:
    with rig.working():
        wait_for(lambda: "create" in rig.index.calls)


def test_a_worker_starts_while_the_index_is_away(rig: Rig) -> None:
    rig.index.available = False
    with rig.working():
        wait_for(lambda: "create" in rig.index.calls)
        rig.index.available = True
        video_id = rig.add()
        wait_for(lambda: rig.status(video_id) is VideoStatus.INDEXED)
