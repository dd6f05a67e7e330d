"""Long videos: real SQL store and queue, fakes for what is outside."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes.encoder import FakeEncoder
from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from tests.worker_rig import DEADLINE_S, MODEL, NEXT_MODEL, Rig, wait_for
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sql.uploads import SqlUploadRecords
from vidrec.application import partials, pictures, progress
from vidrec.application.erase import Eraser
from vidrec.application.jobs import FOLD_VIDEO, INDEX_RANGE, index_job
from vidrec.domain.errors import FailureReason, UnusableMedia
from vidrec.domain.models import Embeddings, Frames, Job, JobState, MediaInfo, SampledFrames, TimeRange, VideoStatus
from vidrec.domain.segmentation import CHUNK_S, ranges
from vidrec.domain.uploads import Stage, VideoProgress

LENGTH_S = 2 * CHUNK_S + 42.0
SCENES = tuple((int(r), int(g), int(b)) for r, g, b in np.random.default_rng(6).integers(0, 255, (45, 3)))
LONG = {"long.webm": FakeVideo(scenes=SCENES, duration_s=LENGTH_S)}


@pytest.fixture
def rig(database: SqlDatabase, tmp_path: Path) -> Rig:
    rig = Rig(database, tmp_path)
    rig.frames = FakeFrameSource(LONG)
    return rig


def state(rig: Rig, video_id: str) -> tuple[object, ...]:
    """Rows and pictures of a video."""
    segments = rig.segments(video_id)
    rows = [(s.number, s.time, s.embedding.tobytes()) for s in segments]
    [vector] = rig.index.videos(MODEL, [video_id]).values()
    kept = {name: rig.store.objects[pictures.prefix(video_id) + name] for name in rig.kept(video_id)}
    return rows, vector.tobytes(), kept, rig.video(video_id).segment_count


def jobs_by_kind(rig: Rig) -> Mapping[str, list[JobState]]:
    held = sorted(rig.queue.list(limit=1000), key=lambda job: job.kind)
    return {kind: [job.state for job in jobs] for kind, jobs in itertools.groupby(held, key=lambda job: job.kind)}


def nothing_is_left(rig: Rig) -> bool:
    with rig.database.snapshot() as uow:
        rows = [uow.splits.ranges(job.video_id or "", MODEL.version) for job in rig.queue.list(limit=1000)]
    return not any(rows) and not [key for key in rig.store.objects if key.startswith("partials/")]


@pytest.mark.parametrize(
    ("duration_s", "length_s", "expected"),
    [
        (600.0, 600.0, [(0, 600)]),
        (600.5, 600.0, [(0, 600), (600, 600.5)]),
        (1500.0, 600.0, [(0, 600), (600, 1200), (1200, 1500)]),
        (1500.0, 700.0, [(0, 1200), (1200, 1500)]),
        (650.0, 1.0, [(0, 600), (600, 650)]),
        (599.0, 1.0, [(0, 599)]),
        (9000.0, 0.0, [(0, 9000)]),
        (0.0, 600.0, [(0, 0)]),
    ],
)
def test_ranges_are_whole_chunks(duration_s: float, length_s: float, expected: list[tuple[float, float]]) -> None:
    assert ranges(duration_s, length_s) == [TimeRange(*pair) for pair in expected]


def test_split_equals_unsplit(rig: Rig) -> None:
    video_id = rig.add("long.webm")
    rig.work(split_s=0.0)
    unsplit = state(rig, video_id)
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.index.drop(MODEL)
    rig.store.objects.clear()
    rig.work(split_s=600.0)
    assert state(rig, video_id) == unsplit
    assert jobs_by_kind(rig)[INDEX_RANGE] == [JobState.DONE] * 3
    assert jobs_by_kind(rig)[FOLD_VIDEO] == [JobState.DONE]
    assert nothing_is_left(rig)


def test_a_video_without_frames_in_a_range_is_whole_without_it(rig: Rig) -> None:
    class Torn(FakeFrameSource):
        """Nothing decodes in the second ten minutes."""

        def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
            if within.start_s != CHUNK_S:
                yield from super().sample(path, info, within, batch=batch)

    rig.frames = Torn(LONG)
    video_id = rig.add("long.webm")
    rig.work()
    starts = {segment.time.start_s // CHUNK_S for segment in rig.segments(video_id)}
    assert starts == {0, 2}


def test_the_progress_is_that_of_all_ranges(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[VideoProgress] = []

    class Watched(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            with rig.database.snapshot() as uow:
                noted.extend(uow.progress.get([video_id]).values())
            return super().encode(frames, model_version=model_version)

    monkeypatch.setattr(progress, "REPORT_EVERY_S", 0.0)
    rig.encoder = Watched()
    video_id = rig.add("long.webm")
    rig.work(concurrency=1)
    told = [note for note in noted if note.stage is Stage.DECODING]
    assert {(note.total, note.ranges_total) for note in told} == {(int(LENGTH_S), 3)}
    assert {note.ranges_done for note in told} >= {0, 1, 2}
    assert max(note.done or 0 for note in told) > 2 * CHUNK_S
    with rig.database.snapshot() as uow:
        assert uow.progress.get([video_id]) == {}


class Broken(FakeFrameSource):
    """Decoding a range fails, for the reason or for none."""

    error: Exception = UnusableMedia(FailureReason.DECODE_LIMIT, "it takes too long")

    def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        if within.start_s == CHUNK_S:
            raise self.error
        yield from super().sample(path, info, within, batch=batch)


def test_a_range_that_fails_fails_the_video_and_ends_the_others(rig: Rig) -> None:
    rig.frames = Broken(LONG)
    video_id = rig.add("long.webm")
    rig.work(concurrency=1)
    video = rig.video(video_id)
    assert (video.status, video.failure_reason) == (VideoStatus.FAILED, FailureReason.DECODE_LIMIT)
    assert sorted(jobs_by_kind(rig)[INDEX_RANGE]) == [JobState.CANCELLED] + [JobState.DONE] * 2
    assert FOLD_VIDEO not in jobs_by_kind(rig)
    assert nothing_is_left(rig)
    rig.frames = FakeFrameSource(LONG)  # it can be tried again
    with rig.database.transaction() as uow:
        uow.catalogue.requeue([video_id])
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED


def test_a_poison_range_is_given_up_with_the_video(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrec.adapters.sqlite_queue.FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("vidrec.application.worker.BURY_EVERY_S", 0.01)
    rig.frames = Broken(LONG)
    rig.frames.error = RuntimeError("a defect that nobody knows of")
    video_id = rig.add("long.webm")
    rig.work(lease_s=1.0)
    video = rig.video(video_id)
    assert (video.status, video.failure_reason) == (VideoStatus.FAILED, FailureReason.GAVE_UP)
    assert "a defect" in (video.failure_message or "")
    assert nothing_is_left(rig)


def test_deleting_it_meanwhile_leaves_nothing(rig: Rig) -> None:
    deleted = threading.Event()

    class Deleting(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            if len(self.batches) == 5 and not deleted.is_set():
                deleted.set()
                Eraser(rig.database, rig.queue).erase_video(video_id)
            return super().encode(frames, model_version=model_version)

    rig.encoder = Deleting()
    video_id = rig.add("long.webm")
    rig.work(concurrency=2, lease_s=1.0)
    rig.work()
    assert deleted.is_set()
    assert rig.index.count(MODEL) == (0, 0)
    assert rig.store.objects == {}
    assert nothing_is_left(rig)


def test_a_model_that_changed_meanwhile_makes_another_round(rig: Rig) -> None:
    class Changing(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            if len(self.batches) == 5:
                rig.activate(NEXT_MODEL)
            return super().encode(frames, model_version=model_version)

    rig.encoder = Changing()
    rig.encoder.others = {NEXT_MODEL.version}
    video_id = rig.add("long.webm")
    rig.work()
    assert rig.index.count(MODEL) == rig.index.count(NEXT_MODEL) != (0, 0)
    assert rig.video(video_id).indexed_model == NEXT_MODEL.version
    assert nothing_is_left(rig)


def test_being_asked_again_meanwhile_changes_nothing(rig: Rig) -> None:
    class Asking(FakeEncoder):
        def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
            if len(self.batches) in (2, 6):
                with rig.database.transaction() as uow:
                    rig.queue.enqueue(uow, [index_job(video_id)])
            return super().encode(frames, model_version=model_version)

    rig.encoder = Asking()
    video_id = rig.add("long.webm")
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert jobs_by_kind(rig)[INDEX_RANGE] == [JobState.DONE] * 3
    assert nothing_is_left(rig)


def test_a_partial_result_that_is_lost_is_made_again(rig: Rig) -> None:
    video_id = rig.add("long.webm")
    lost: list[str] = []
    real = rig.store.read

    def read(location: str) -> bytes:
        if "partials/" in location and not lost:
            lost.append(location)
            del rig.store.objects[location.removeprefix("media:///")]
        return real(location)

    rig.store.read = read  # type: ignore[method-assign]
    rig.work()
    assert lost
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert nothing_is_left(rig)


def test_a_damaged_partial_result_is_made_again(rig: Rig) -> None:
    video_id = rig.add("long.webm")
    damaged: list[str] = []
    real = rig.store.read

    def read(location: str) -> bytes:
        data = real(location)
        if "partials/" in location and not damaged:
            damaged.append(location)
            return data[: len(data) // 2]
        return data

    rig.store.read = read  # type: ignore[method-assign]
    rig.work()
    assert damaged
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert nothing_is_left(rig)


def test_a_cancelled_fold_is_queued_again_when_it_is_asked_for(rig: Rig) -> None:
    video_id = rig.add("long.webm")
    real = rig.queue.lease

    def lease(kinds: Sequence[str], *, lease_s: float) -> Job | None:
        job = real(kinds, lease_s=lease_s)
        if job is not None and job.kind == FOLD_VIDEO and len(jobs_by_kind(rig)[FOLD_VIDEO]) == 1:
            with rig.database.transaction() as uow:
                rig.queue.cancel(uow, job_id=job.id)
            return None
        return job

    rig.queue.lease = lease  # type: ignore[method-assign]
    rig.work()
    assert rig.status(video_id) is VideoStatus.PROCESSING
    with rig.database.transaction() as uow:
        rig.queue.enqueue(uow, [index_job(video_id)])
    rig.work()
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert jobs_by_kind(rig)[INDEX_RANGE] == [JobState.DONE] * 3


def test_nothing_is_a_partial_result_too(rig: Rig) -> None:
    assert partials.load(partials.dump([], rig.frames.probe(Path("long.webm")))) == []


# ------------------------------------------------------------------------------------------------- kills


class Killed(BaseException):
    """The process ends here: nothing after it is done."""


class Killer:
    """Ends the process before or after the n-th call that it wraps; pictures are put without it."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.killed = False

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: object, **named: object) -> Any:
            if str(arguments[0]).startswith("pictures/"):
                return call(*arguments, **named)
            self.left -= 1
            if self.left == 0:
                self.killed = True
                raise Killed
            answer = call(*arguments, **named)
            self.left -= 1
            if self.left == 0:
                self.killed = True
                raise Killed
            return answer

        return wrapped


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("every", [1, 5])
def test_killed_again_and_again_it_is_done_once(rig: Rig, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies around each n-th call that changes something outside; another one begins after its lease."""
    expected = rig.add("long.webm")
    rig.work(split_s=0.0)
    rows = len(rig.segments(expected))
    rig.queue = type(rig.queue)(rig.database, max_attempts=1000, clock=rig.clock)
    video_id = rig.add("other.webm")
    rig.frames = FakeFrameSource({"other.webm": LONG["long.webm"]})
    folds: list[str] = []
    real = SqlUploadRecords.mark_recommendable

    def noted(records: SqlUploadRecords, video_id: str, at: datetime) -> None:
        real(records, video_id, at)
        folds.append(video_id)

    monkeypatch.setattr(SqlUploadRecords, "mark_recommendable", noted)
    for life in range(1, 100):
        killer = Killer(every * life)
        held = {(rig.store, "put"), (rig.store, "delete"), (rig.index, "upsert"), (rig.queue, "complete")}
        with monkeypatch.context() as patch:
            for owner, name in held:
                patch.setattr(owner, name, killer.wrap(getattr(owner, name)))
            stop = threading.Event()
            thread = threading.Thread(target=rig.worker(concurrency=1).run, args=(stop,), daemon=True)
            thread.start()
            wait_for(lambda: killer.killed or rig.queue.counts().keys() <= {JobState.DONE})  # noqa: B023
            stop.set()
            thread.join(DEADLINE_S)
        if rig.queue.counts().keys() <= {JobState.DONE}:
            break
        rig.clock.ahead += timedelta(seconds=31)
    assert rig.status(video_id) is VideoStatus.INDEXED
    assert len(rig.segments(video_id)) == rows
    assert [s.time for s in rig.segments(video_id)] == [s.time for s in rig.segments(expected)]
    assert folds == [video_id], "exactly one fold's effect"
    assert nothing_is_left(rig)
