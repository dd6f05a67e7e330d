"""`vidrec upload` against a running API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import System
from vidrec.application.jobs import INDEX_VIDEO
from vidrec.cli import main
from vidrec.client import Client, Details
from vidrec.domain.errors import Conflict, FailureReason, Unavailable
from vidrec.domain.models import MediaInfo, VideoStatus
from vidrec.domain.uploads import MIN_PART

ROOT = Path(__file__).parents[2]
MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=320, height=180, duration_s=30.0)


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "떡볶이.webm").write_bytes(b"one")
    (folder / "two.mp4").write_bytes(b"two two")
    (folder / "notes.txt").write_text("no video")
    return folder


@contextmanager
def working(system: System) -> Iterator[None]:
    """Marks what is queued as indexed; what begins with `two` as failed."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            job = system.queue.lease([INDEX_VIDEO], lease_s=30)
            if job is None:
                continue
            with system.database.transaction() as uow:
                video = uow.catalogue.get([str(job.video_id)])[str(job.video_id)]
                if video.filename.startswith("two"):
                    uow.catalogue.mark_failed(video.id, FailureReason.NOT_A_VIDEO, "this is no video")
                else:
                    uow.catalogue.mark_indexed(video.id, model_version="m", media=MEDIA, segment_count=1)
                system.queue.complete(uow, job)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


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
    code, out, _ = vidrec(capsys, *arguments, "--json")
    return code, json.loads(out)


def url(system: System) -> str:
    return f"http://127.0.0.1:{system.port}"


def test_a_folder_is_sent(system: System, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = answered(
        capsys, "upload", clips, "--url", url(system), "--category", "food", "--tag", "a", "--tag", "b"
    )
    assert (code, told["counts"]) == (0, {"queued": 2})
    for entry in told["files"]:
        video = system.get(f"/videos/{entry['video_id']}")
        assert (video["filename"], video["size_bytes"]) == (Path(entry["file"]).name, entry["size"])
        assert (video["category"], video["tags"], video["status"]) == ("food", ["a", "b"], "queued")


def test_it_waits_and_the_exit_code_tells(system: System, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with working(system):
        code, _, err = vidrec(capsys, "upload", clips, "--url", url(system), "--wait")
        again = vidrec(capsys, "upload", clips / "떡볶이.webm", "--url", url(system), "--wait")
    assert code == 1
    lines = err.splitlines()
    assert lines[-1] in ("1 indexed, 1 failed", "1 failed, 1 indexed")
    assert any("two.mp4  failed" in line and "this is no video" in line for line in lines)
    assert again[0] == 0
    assert again[2].splitlines()[-1] == "1 indexed"


def test_what_is_refused_is_said_and_does_not_stop_the_rest(
    system: System, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clips / "empty.webm").touch()
    (clips / "old.avi").write_bytes(b"x")
    code, told = answered(capsys, "upload", clips, "--url", url(system))
    assert (code, told["counts"]) == (1, {"queued": 2, "refused": 2})
    messages = {Path(entry["file"]).name: entry["message"] for entry in told["files"]}
    assert messages["empty.webm"].endswith("the file is empty")
    assert messages["old.avi"] == "filename: expected a name that ends in one of .mp4, .webm"


@pytest.mark.parametrize("missing", ["/no/such/file.webm", "{tmp}"])
def test_nothing_to_send_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    code, _, err = vidrec(capsys, "upload", missing.format(tmp=tmp_path))
    assert code == 2
    assert err.count("\n") == 1


def test_nobody_there_is_said(clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrec.client._ATTEMPTS", 1)
    code, told = answered(capsys, "upload", clips, "--url", "http://127.0.0.1:9")
    assert (code, told["counts"]) == (1, {"refused": 2})
    assert "http://127.0.0.1:9 does not answer" in told["files"][0]["message"]


class Cut(httpx.BaseTransport):
    """Lets so many parts through, then the line is dead."""

    def __init__(self, parts: int) -> None:
        self.puts = 0
        self._parts = parts
        self._real = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.puts += 1
            if self.puts > self._parts:
                raise httpx.ConnectError("cut")
        return self._real.handle_request(request)

    def close(self) -> None:
        self._real.close()


def test_a_large_file_goes_on_where_it_was_cut(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrec.client._ATTEMPTS", 1)
    monkeypatch.setattr("vidrec.client.PARTS_AT_ONCE", 1)
    data = os.urandom(4 * MIN_PART - 77)
    file = tmp_path / "long.webm"
    file.write_bytes(data)
    with Client(url(system), transport=Cut(2)) as client, pytest.raises(Unavailable):
        client.upload(file, Details(), large=MIN_PART)
    [announced] = system.get("/videos", status="uploading")["items"]
    sent: list[int] = []
    whole = Cut(1000)
    with Client(url(system), transport=whole) as client:
        video_id = client.upload(file, Details(), large=MIN_PART, sent=sent.append)
    assert video_id == announced["id"]
    assert whole.puts == 2
    assert sum(sent) == len(data)
    with system.database.snapshot() as uow:
        video = uow.catalogue.get([video_id])[video_id]
    assert video.status is VideoStatus.QUEUED
    assert (system.folder / "media" / video.location.removeprefix("media:///")).read_bytes() == data
    assert list((tmp_path / "state").rglob("*.*")) == []
    with Client(url(system)) as client:  # there is nothing to resume any more
        assert client.upload(file, Details(), large=MIN_PART) != video_id


def test_a_lost_answer_is_not_a_failure(system: System, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "_pause", lambda self, seconds: None)

    class Lost(Cut):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.method == "PUT" and self.puts == 1:
                response.close()
                raise httpx.ReadError("the answer was lost")
            return response

    with Client(url(system), transport=Lost(9)) as client:
        video_id = client.upload(clips / "two.mp4", Details())
    assert system.get(f"/videos/{video_id}")["status"] == "queued"


def test_a_client_that_is_ended_stops(system: System, tmp_path: Path) -> None:
    file = tmp_path / "a.webm"
    file.write_bytes(b"x" * 5_000_000)
    with Client(url(system)) as client:
        with pytest.raises(Unavailable, match="interrupted"):
            client.upload(file, Details(), sent=lambda _: client.end())
        begun = time.monotonic()
        video = system.get("/videos", status="uploading")["items"][0]
        with pytest.raises(Unavailable, match="interrupted"):
            list(client.follow(video["id"]))
    assert time.monotonic() - begun < 5


def test_a_conflict_is_told_as_one(system: System, clips: Path) -> None:
    with Client(url(system)) as client:
        client.upload(clips / "two.mp4", Details(external_id="one"))
        with pytest.raises(Conflict, match="one"):
            client.upload(clips / "two.mp4", Details(external_id="one"))


def test_the_example_of_the_documentation(system: System, clips: Path) -> None:
    example = (ROOT / "examples" / "upload.py").read_text()
    shown = (ROOT / "docs" / "api.md").read_text().split("```python\n")[1].split("```")[0]
    assert example.endswith("import requests\n\n" + shown)
    assert len(shown.splitlines()) <= 12
    for module in ("vidrec", "httpx"):
        assert module not in shown.replace("vidrec upload", "")
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "upload.py")]
    with working(system):
        done = subprocess.run(
            [*command, str(clips / "떡볶이.webm"), url(system)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("떡볶이 indexed")
