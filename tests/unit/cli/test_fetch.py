"""`vidrec model fetch` from a server on this machine, without torch."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.servers import free_port
from tests.torch_files import write_torch_file
from vidrec.cli import main
from vidrec.model import published
from vidrec.model.encoder import untrained
from vidrec.model.frames import generated_frames
from vidrec.model.graph import build
from vidrec.model.manifest import ONNX_FILE
from vidrec.model.session import run_model


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder with a published file, and its name."""
    folder = tmp_path_factory.mktemp("shelf")
    state = {**untrained("resnet18").weights, "fc.weight": np.zeros((10, 512), np.float32)}
    write_torch_file(folder / "file", state)
    name = f"resnet18-{hashlib.sha256((folder / 'file').read_bytes()).hexdigest()[:8]}.pth"
    (folder / "file").rename(folder / name)
    return folder, name


@pytest.fixture
def server(shelf: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a server that has torchvision's file."""
    monkeypatch.setitem(published.FILES, "resnet18", shelf[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(shelf[0]))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def fetch(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["model", "fetch", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_it_becomes_an_encoder(
    server: str, shelf: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch("resnet18", "--from", server, "--data", tmp_path, "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["name"], manifest["trained"]) == ("resnet18 imagenet fp32", True)
    frames = generated_frames(2, seed=3)
    found = run_model(Path(manifest["folder"]) / ONNX_FILE, frames)
    expected = run_model(build("resnet18", untrained("resnet18").weights), frames)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [shelf[1]]


def test_what_was_downloaded_is_kept_and_a_folder_will_do(
    shelf: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(published.FILES, "resnet18", shelf[1])
    assert fetch("resnet18", "--from", shelf[0], "--data", tmp_path) == 0
    assert "resnet18 imagenet fp32: 512 values a frame" in capsys.readouterr().err
    assert not (tmp_path / "downloads").exists()


def test_another_file_is_refused(
    server: str, shelf: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (shelf[0] / "resnet18-00000000.pth").write_bytes(b"something else")
    monkeypatch.setitem(published.FILES, "resnet18", "resnet18-00000000.pth")
    assert fetch("resnet18", "--from", server, "--data", tmp_path) == 2
    error = capsys.readouterr().err
    assert "expected 00000000: another file, or damaged on the way" in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "downloads").iterdir())
    assert not (tmp_path / "models").exists()


def test_no_internet_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("resnet50", "--from", f"http://127.0.0.1:{free_port()}", "--data", tmp_path) == 1
    error = capsys.readouterr().err
    assert "could not download" in error
    assert "vidrec model fetch resnet50 --from FOLDER" in error
    assert error.count("\n") == 1


def test_missing_files_are_one_sentence(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("resnet34", "--from", server, "--data", tmp_path) == 1
    assert "the answer was 404" in capsys.readouterr().err
    assert fetch("resnet34", "--from", tmp_path, "--data", tmp_path) == 2
    assert "is not there" in capsys.readouterr().err
