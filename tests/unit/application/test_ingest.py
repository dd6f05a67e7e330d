"""Taking in files: real SQL store and queue, small files that are no videos."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application import ingest as module
from vidrec.application.ingest import VIDEO_SUFFIXES, Ingest, Intake, Source, find_files
from vidrec.application.manifest import read_manifest
from vidrec.domain.errors import Conflict, FailureReason, InvalidInput
from vidrec.domain.models import JobState, MediaInfo, ModelVersion, Video, VideoStatus

MODEL = ModelVersion(version="mtest00000000", name="test", dimension=8, trained=False)
MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=320, height=180, duration_s=30.0)


def write(path: Path, content: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if content is not None else path.name)
    return path


def names(sources: Sequence[Source], folder: Path) -> list[str]:
    return [source.path.relative_to(folder).as_posix() for source in sources]


class Shelf:
    """A catalogue that files are taken into."""

    def __init__(self, database: SqlDatabase, queue: SqliteQueue) -> None:
        self.database = database
        self.queue = queue
        self.ingest = Ingest(database, queue)
        self.activate(MODEL)

    def activate(self, model: ModelVersion) -> None:
        with self.database.transaction() as uow:
            uow.models.register(model)
            uow.models.activate(model.version)

    def take(self, *paths: Path) -> Intake:
        return self.ingest.add(find_files(paths))

    def videos(self) -> list[Video]:
        """Oldest first."""
        with self.database.snapshot() as uow:
            found = uow.catalogue.page(query=None, category=None, status=None, after=None, limit=1000)
        return list(reversed(found))

    def index(self, *, failing: bool = False) -> None:
        """Does all jobs that wait as a worker would."""
        while (job := self.queue.lease(["index_video"], lease_s=30)) is not None:
            with self.database.transaction() as uow:
                if failing:
                    uow.catalogue.mark_failed(str(job.video_id), FailureReason.NOT_A_VIDEO, "not a video")
                else:
                    active = uow.models.active()
                    assert active is not None
                    uow.catalogue.mark_indexed(
                        str(job.video_id), model_version=active.version, media=MEDIA, segment_count=3
                    )
                self.queue.complete(uow, job)

    def waiting(self) -> int:
        return self.queue.counts().get(JobState.QUEUED, 0)


@pytest.fixture
def shelf(database: SqlDatabase, queue: SqliteQueue) -> Shelf:
    return Shelf(database, queue)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read whole."""
    read: list[str] = []
    real = module._sha256

    def counted(path: Path) -> str:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(module, "_sha256", counted)
    return read


# --------------------------------------------------------------------------------------------- which files


def test_folders_are_searched_for_videos(tmp_path: Path) -> None:
    for name in ("b/two.MP4", "b/deep/er/three.webm", "a.mkv", "notes.txt", ".hidden.mp4", ".git/x.mp4", "b/c.gif"):
        write(tmp_path / name)
    assert names(find_files([tmp_path]), tmp_path) == ["a.mkv", "b/c.gif", "b/two.MP4", "b/deep/er/three.webm"]


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_kind_of_video_is_found(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"x{suffix}")
    assert len(find_files([tmp_path])) == 1


def test_a_named_file_may_be_called_anything(tmp_path: Path) -> None:
    file, hidden = write(tmp_path / "upload.bin"), write(tmp_path / ".hidden")
    assert names(find_files([file, hidden]), tmp_path) == ["upload.bin", ".hidden"]


def test_a_file_named_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    found = find_files([Path("a.mp4"), tmp_path, tmp_path / "x" / ".." / "a.mp4"])
    assert [source.path for source in found] == [tmp_path / "a.mp4"]


def test_the_category_is_the_folder_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "cats" / "a.mp4")
    monkeypatch.chdir(tmp_path / "cats")
    assert [source.category for source in find_files([Path("a.mp4")])] == ["cats"]
    assert [source.category for source in find_files([Path()])] == ["cats"]
    assert [source.category for source in find_files([tmp_path], category="pets")] == ["pets"]


def test_a_missing_path_stops_all_before_anything_happens(shelf: Shelf, tmp_path: Path) -> None:
    good = write(tmp_path / "a.mp4")
    with pytest.raises(InvalidInput, match=r"gone\.mp4: no such file or folder"):
        shelf.take(good, tmp_path / "gone.mp4")
    assert shelf.videos() == []


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InvalidInput, match="expected a file or a folder"):
        find_files([tmp_path / "pipe.mp4"])


# ------------------------------------------------------------------------------------------- what happens


def test_a_file_becomes_a_video_and_a_job(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "cats" / "My clip.final.mp4", "bytes")
    intake = shelf.take(path)
    [video] = shelf.videos()
    assert intake.queued == [video.id]
    assert (video.title, video.category, video.filename) == ("My clip.final", "cats", "My clip.final.mp4")
    assert (video.location, video.size_bytes, video.status) == (path.as_uri(), 5, VideoStatus.QUEUED)
    assert video.content_sha256 == "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    assert video.source_mtime_ns == path.stat().st_mtime_ns
    [job] = shelf.queue.list()
    assert (job.kind, job.video_id, job.payload, job.state) == ("index_video", video.id, {}, JobState.QUEUED)


def test_taking_in_again_does_nothing_and_reads_nothing(shelf: Shelf, tmp_path: Path, hashed: list[str]) -> None:
    for n in range(3):
        write(tmp_path / f"{n}.mp4")
    first = shelf.take(tmp_path)
    shelf.index()
    assert len(hashed) == 3
    again = shelf.take(tmp_path)
    assert (again.queued, sorted(again.already)) == ([], sorted(first.queued))
    assert (len(hashed), len(shelf.videos()), shelf.waiting()) == (3, 3, 0)


def test_taking_in_again_while_it_waits_adds_no_second_job(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    assert shelf.take(path).queued == shelf.take(path).queued
    assert shelf.waiting() == 1


def test_copies_are_one_video(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c/a.mp4"):
        write(tmp_path / name, "the same")
    intake = shelf.take(tmp_path)
    [video] = shelf.videos()
    assert (intake.queued, intake.already, video.filename) == ([video.id], [video.id, video.id], "a.mp4")
    assert shelf.waiting() == 1


def test_a_changed_file_is_a_new_video(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "old")
    shelf.take(path)
    write(path, "new")
    os.utime(path, ns=(0, 1))
    shelf.take(path)
    assert len({video.content_sha256 for video in shelf.videos()}) == 2


def test_a_moved_file_keeps_its_video(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "old" / "a.mp4")
    shelf.take(path)
    shelf.index()
    [before] = shelf.videos()
    moved = tmp_path / "new folder" / "ü.mp4"
    moved.parent.mkdir()
    path.rename(moved)
    intake = shelf.take(moved)
    [after] = shelf.videos()
    assert intake.already == [after.id]
    assert after == replace(before, location=moved.as_uri(), filename="ü.mp4")


def test_a_touched_file_is_read_once_more_only(shelf: Shelf, tmp_path: Path, hashed: list[str]) -> None:
    path = write(tmp_path / "a.mp4")
    shelf.take(path)
    os.utime(path, ns=(5, 5))
    shelf.take(path)
    shelf.take(path)
    assert len(hashed) == 2


def test_a_copy_elsewhere_does_not_move_the_video(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "x")
    shelf.take(path)
    shelf.take(write(tmp_path / "b.mp4", "x"))
    assert shelf.videos()[0].location == path.as_uri()


def test_a_failed_video_is_tried_again(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    shelf.take(path)
    shelf.index(failing=True)
    intake = shelf.take(path)
    [video] = shelf.videos()
    assert (intake.queued, video.status, video.failure_reason) == ([video.id], VideoStatus.QUEUED, None)
    assert shelf.waiting() == 1
    shelf.index()
    assert shelf.videos()[0].status is VideoStatus.INDEXED


def test_a_video_of_another_model_is_indexed_again(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    shelf.take(path)
    shelf.index()
    shelf.activate(replace(MODEL, version="mnext00000000"))
    assert shelf.take(path).queued == [shelf.videos()[0].id]
    assert shelf.waiting() == 1


def test_all_videos_of_another_model_are_queued_at_once(shelf: Shelf, tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"{n}.mp4")
    shelf.take(tmp_path)
    shelf.index()
    assert shelf.ingest.reindex_all() == []
    shelf.activate(replace(MODEL, version="mnext00000000"))
    assert sorted(shelf.ingest.reindex_all()) == sorted(video.id for video in shelf.videos())
    assert shelf.waiting() == 3


def test_a_deleted_video_can_come_back(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    [first] = shelf.take(path).queued
    with shelf.database.transaction() as uow:
        uow.catalogue.tombstone(first)
    [second] = shelf.take(path).queued
    assert second != first


def test_many_files_go_in_several_transactions(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_A_TRANSACTION", 10)
    for n in range(25):
        write(tmp_path / f"{n:02}.mp4")
    seen: list[int] = []
    intake = shelf.ingest.add(find_files([tmp_path]), progress=seen.append)
    assert seen == list(range(1, 26))
    assert [video.id for video in shelf.videos()] == sorted(intake.queued)
    assert [video.filename for video in shelf.videos()] == [f"{n:02}.mp4" for n in range(25)]


def test_large_files_are_handed_over_as_they_are_read(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRANSACTION_EVERY_S", 0)
    for n in range(3):
        write(tmp_path / f"{n}.mp4")
    waiting: list[int] = []
    shelf.ingest.add(find_files([tmp_path]), progress=lambda _: waiting.append(shelf.waiting()))
    assert waiting == [0, 1, 2]


def test_a_file_that_cannot_be_read_does_not_stop_the_rest(shelf: Shelf, tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "c.mp4")
    write(tmp_path / "d.mp4")
    intake = shelf.take(tmp_path)
    assert len(intake.queued) == 2
    assert intake.unreadable == {
        str(tmp_path / "b.mp4"): "No such file or directory",
        str(tmp_path / "c.mp4"): "not a file",
    }


def test_a_name_that_is_no_text_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/\xff\xfe.mp4"))
    write(path, "bytes")
    shelf.take(tmp_path)
    [video] = shelf.videos()
    assert (video.title, video.category) == ("\ufffd\ufffd", "caf\ufffd")
    assert video.location.endswith("/caf%E9/%FF%FE.mp4")
    assert shelf.take(tmp_path).queued == [video.id]


def test_two_at_a_time_double_nothing(shelf: Shelf, tmp_path: Path) -> None:
    for n in range(30):
        write(tmp_path / f"{n}.mp4")
    threads = [threading.Thread(target=shelf.take, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shelf.videos()) == shelf.waiting() == 30


# ------------------------------------------------------------------------------------------- external ids


def test_an_external_id_is_given_to_a_video_that_has_none(shelf: Shelf, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    shelf.take(path)
    shelf.ingest.add([Source(path=path, external_id="X")])
    [video] = shelf.videos()
    assert video.external_id == "X"


def test_the_same_bytes_under_two_external_ids_are_two_videos(shelf: Shelf, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.mp4", "x"), write(tmp_path / "b.mp4", "x")
    sources = [Source(path=one, external_id="1"), Source(path=two, external_id="2")]
    for _ in range(2):  # also when taken in again
        shelf.ingest.add(sources)
        assert [video.external_id for video in shelf.videos()] == ["1", "2"]
    assert shelf.waiting() == 2


def test_an_external_id_of_other_bytes_is_a_conflict(shelf: Shelf, tmp_path: Path) -> None:
    shelf.ingest.add([Source(path=write(tmp_path / "a.mp4"), external_id="X")])
    with pytest.raises(Conflict, match=r"external_id 'X' \(b.mp4\)"):
        shelf.ingest.add(
            [Source(path=write(tmp_path / "c.mp4")), Source(path=write(tmp_path / "b.mp4"), external_id="X")]
        )
    assert len(shelf.videos()) == 1


def test_the_external_id_of_a_deleted_video_is_free(shelf: Shelf, tmp_path: Path) -> None:
    source = Source(path=write(tmp_path / "a.mp4"), external_id="X")
    [first] = shelf.ingest.add([source]).queued
    with shelf.database.transaction() as uow:
        uow.catalogue.tombstone(first)
    assert len(shelf.ingest.add([source]).queued) == 1


# ---------------------------------------------------------------------------------------------- manifests


def test_a_manifest_says_what_is_known(tmp_path: Path) -> None:
    write(tmp_path / "films" / "a.mp4")
    rows = [(1, {"path": "films/a.mp4", "external_id": 17, "title": " A ", "tags": "x; y;;x", "url": "http://e/a"})]
    [source] = read_manifest(rows, folder=tmp_path)
    assert source == Source(
        path=tmp_path / "films" / "a.mp4",
        external_id="17",
        title="A",
        category="films",
        tags=("x", "y"),
        url="http://e/a",
    )


def test_the_category_of_a_row_wins(tmp_path: Path) -> None:
    write(tmp_path / "films" / "a.mp4")
    rows = [(1, {"path": "films/a.mp4", "category": "own"}), (2, {"path": "films/a.mp4", "category": None})]
    assert [s.category for s in read_manifest(rows, folder=tmp_path, category="given")] == ["own", "given"]


@pytest.mark.parametrize(
    ("row", "message", "field"),
    [
        ({"path": "gone.mp4"}, r"row 2, path: there is no file .*gone\.mp4", "path"),
        ({"path": None}, "row 2, path: expected the path", "path"),
        ({"path": "."}, "row 2, path: there is no file", "path"),
        ({"path": "a.mp4", "external_id": "X"}, "row 2, external_id: 'X' is also that of row 1", "external_id"),
        ({"path": "a.mp4", "colour": "red"}, "column 'colour' is not known; columns are path, external_id", "colour"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, object], message: str, field: str) -> None:
    write(tmp_path / "a.mp4")
    with pytest.raises(InvalidInput, match=message) as caught:
        read_manifest([(1, {"path": "a.mp4", "external_id": "X"}), (2, row)], folder=tmp_path)
    assert caught.value.field == field


# ---------------------------------------------------------------------------------------------- following


def test_following_ends_when_all_have_ended(shelf: Shelf, tmp_path: Path) -> None:
    ids = [shelf.take(write(tmp_path / f"{n}.mp4")).queued[0] for n in range(4)]
    steps = shelf.ingest.follow([*ids, ids[0]], every_s=0.01)
    first = next(steps)
    assert (first.indexed, first.done, first.total, first.moving) == (0, 0, 4, False)
    with shelf.database.transaction() as uow:
        uow.catalogue.mark_indexed(ids[0], model_version=MODEL.version, media=MEDIA, segment_count=1)
        uow.catalogue.mark_failed(ids[1], FailureReason.EMPTY, "the file is empty")
        uow.catalogue.mark_processing(ids[2])
    second = next(steps)
    assert (second.indexed, list(second.failed), second.done, second.moving) == (1, [ids[1]], 2, True)
    with shelf.database.transaction() as uow:
        uow.catalogue.tombstone(ids[2])
        uow.catalogue.mark_indexed(ids[3], model_version=MODEL.version, media=MEDIA, segment_count=1)
    [last] = list(steps)
    assert (last.indexed, last.done, last.total) == (2, 3, 3)
    assert last.failed[ids[1]].failure_message == "the file is empty"


def test_following_nothing_ends_at_once(shelf: Shelf) -> None:
    [only] = list(shelf.ingest.follow([]))
    assert (only.done, only.total) == (0, 0)
