"""`vidrec ingest` and `vidrec import`, with a worker of fakes beside them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.encoder import DIMENSION, FakeEncoder
from tests.fakes.frame_source import FakeFrameSource
from tests.fakes.index import FakeIndex
from tests.fakes.renderer import FakeRenderer
from tests.fakes.store import FakeStore
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.ingest import Ingest
from vidrec.application.worker import Worker
from vidrec.cli import ingest as cli_ingest
from vidrec.cli import main
from vidrec.domain.errors import FailureReason
from vidrec.domain.models import JobState, ModelVersion

MODEL = ModelVersion(version="mtest00000000", name="test", dimension=DIMENSION, trained=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a schema and an active model."""
    folder = tmp_path / "data"
    folder.mkdir()
    migrate(f"sqlite:///{folder / 'vidrec.db'}")
    with opened(folder) as database, database.transaction() as uow:
        uow.models.register(MODEL)
        uow.models.activate(MODEL.version)
    return folder


@contextmanager
def opened(data: Path) -> Iterator[SqlDatabase]:
    database = SqlDatabase(f"sqlite:///{data / 'vidrec.db'}")
    yield database
    database.close()


@contextmanager
def working(data: Path, frames: FakeFrameSource | None = None) -> Iterator[None]:
    """A worker beside the block."""
    stop = threading.Event()
    with opened(data) as database:
        queue = SqliteQueue(database)
        worker = Worker(
            database,
            queue,
            FakeIndex(),
            frames or FakeFrameSource(),
            FakeEncoder(),
            FakeStore(),
            renderer=FakeRenderer(),
            poll_s=0.02,
        )
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        yield
        stop.set()
        thread.join()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("one.mp4", "two.webm", "three.mkv"):
        (folder / name).write_text(name)
    return folder


def vidrec(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """(exit code, JSON on stdout)"""
    code, out, _ = vidrec(capsys, *arguments, "--json")
    return code, json.loads(out)


def test_it_follows_until_all_are_indexed(data: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with working(data):
        code, out, err = vidrec(capsys, "ingest", clips, "--data", data)
        again = vidrec(capsys, "ingest", clips, "--data", data)
    assert (code, out, err) == (0, "", "3 indexed, 0 already there, 0 failed\n")
    assert again == (0, "", "0 indexed, 3 already there, 0 failed\n")


def test_what_failed_is_named_and_the_exit_code_tells(
    data: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with working(data, FakeFrameSource({"two.webm": FailureReason.NOT_A_VIDEO})):
        code, _, err = vidrec(capsys, "ingest", clips, "--data", data)
        again, answer = answered(capsys, "ingest", clips, "--data", data)
    assert code == again == 1
    assert err.splitlines() == [
        "failed: two.webm: two.webm: not_a_video (not_a_video)",
        "2 indexed, 0 already there, 1 failed",
    ]
    assert [(v["file"], v["reason"]) for v in answer["failed"]] == [("two.webm", "not_a_video")]
    assert (answer["queued"], answer["already"], answer["indexed"]) == (1, 2, 0)


def test_without_following_it_returns_at_once(data: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vidrec(capsys, "ingest", clips, "--no-follow", "--data", data)[::2] == (0, "3 queued, 0 already there\n")
    with opened(data) as database:
        assert SqliteQueue(database).counts() == {JobState.QUEUED: 3}


def test_a_broken_link_counts_as_failed(data: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "four.mp4").symlink_to(clips / "nowhere")
    code, answer = answered(capsys, "ingest", clips, "--no-follow", "--data", data)
    assert (code, answer["queued"]) == (1, 3)
    assert answer["unreadable"] == {str(clips / "four.mp4"): "No such file or directory"}


def test_a_manifest_brings_a_catalogue(data: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "list.csv").write_text("path,external_id,title,tags\none.mp4,X1,First,a;b\ntwo.webm,X2,,\n")
    assert answered(capsys, "ingest", "--manifest", clips / "list.csv", "--no-follow", "--data", data)[0] == 0
    with opened(data) as database, database.snapshot() as uow:
        ids = uow.catalogue.resolve(["X1", "X2"])
        videos = uow.catalogue.get(list(ids.values()))
    assert (videos[ids["X1"]].title, videos[ids["X1"]].tags) == ("First", ("a", "b"))
    assert (videos[ids["X2"]].title, videos[ids["X2"]].category) == ("two", "clips")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: name files or folders to take in, or a --manifest"),
        (("clips", "gone.mp4"), "error: gone.mp4: no such file or folder"),
        (("empty",), "error: there are no videos in empty"),
        (("--manifest", "gone.csv"), "error: gone.csv: no such file"),
        (("--manifest", "bad.csv"), "error: row 2, path: there is no file "),
        (("--manifest", "stray.csv"), "error: column 'name' is not known; columns are path, "),
    ],
)
def test_misuse_is_one_line_and_enqueues_nothing(
    data: Path,
    clips: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(clips.parent)
    (clips.parent / "empty").mkdir()
    (clips.parent / "bad.csv").write_text("path\nclips/one.mp4\nclips/gone.mp4\n")
    (clips.parent / "stray.csv").write_text("path,name\nclips/one.mp4,x\n")
    code, out, err = vidrec(capsys, "ingest", *arguments, "--data", data)
    assert (code, out) == (2, "")
    assert err.startswith(message)
    assert err.count("\n") == 1
    with opened(data) as database:
        assert SqliteQueue(database).counts() == {}


def test_ctrl_c_says_that_the_work_goes_on(
    data: Path, clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ingest, "follow", interrupted)
    code, _, err = vidrec(capsys, "ingest", clips, "--data", data)
    assert code == 130
    assert "goes on in the background" in err
    with opened(data) as database:
        assert SqliteQueue(database).counts() == {JobState.QUEUED: 3}


def test_a_missing_worker_is_hinted_at(
    data: Path, clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_ingest, "IDLE_HINT_S", 0.2)
    said = threading.Event()
    real = cli_ingest.say

    def say(message: str) -> None:
        real(message)
        if "is a worker running?" in message:
            said.set()

    monkeypatch.setattr(cli_ingest, "say", say)
    result: list[tuple[int, str, str]] = []
    thread = threading.Thread(target=lambda: result.append(vidrec(capsys, "ingest", clips, "--data", data)))
    thread.start()
    assert said.wait(20)
    with working(data):
        thread.join(20)
    [(code, _, err)] = result
    assert code == 0
    assert err.count("is a worker running?") == 1


def test_interactions_are_imported_by_external_id(
    data: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clips / "list.csv").write_text("path,external_id\none.mp4,X1\n")
    answered(capsys, "ingest", "--manifest", clips / "list.csv", "--no-follow", "--data", data)
    events = tmp_path / "events.csv"
    events.write_text("user_id,external_id,type\nu,X1,like\nu,X9,like\n")
    imported = answered(capsys, "import", "interactions", events, "--data", data)
    assert imported == (0, {"rows": 2, "new": 1, "repeated": 0, "dropped": 0, "unknown": 1})
    code, _, err = vidrec(capsys, "import", "interactions", events, "--data", data)
    assert (code, err) == (
        0,
        "2 rows: 0 new, 1 imported before, 0 about deleted videos, 1 about videos that are not in the catalogue\n",
    )
    code, _, err = vidrec(capsys, "import", "interactions", events, "--strict", "--data", data)
    assert (code, err) == (2, "error: row 2, external_id: there is no video X9\n")
