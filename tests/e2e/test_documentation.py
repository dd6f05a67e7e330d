"""Every command of the README and of the pages beside it is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clips import VP9, draw
from tests.documentation import ROOT, commands
from tests.systems import RunningSystem, get, keyed_api, new_key

PAGES = ("README.md", "docs/api.md", "docs/models.md", "docs/scale.md", "loadtest/README.md")
SIGNED = "$PresignedURL"
KEY = "$VIDREC_API_KEY"
ADDRESS = "http://127.0.0.1:3000"
RUN_BY = {
    "make run": "test_make_run",
    "make run VIDEOS=/some/folder": "test_make_run_with_videos",
    "make run MODEL=data/models/VERSION": "test_better_weights",
    ".venv-run/bin/vidrec model export --arch resnet34 --weights untrained --int8": "test_default.py makes such ones",
    ".venv-run/bin/vidrec model list": "test_change_model.py",
    ".venv-run/bin/vidrec model activate data/models/VERSION": "test_change_model.py",
    ".venv-run/bin/vidrec model rollback": "test_change_model.py",
    ".venv-run/bin/vidrec model drop VERSION": "test_change_model.py",
    "make test": "whoever runs this file so",
    ".venv-run/bin/vidrec model fetch resnet50 --int8": "test_better_weights",
}
CURL = [(page, command) for page in PAGES for command in commands(page) if command.startswith("curl ")]
KEYS = [command for page in PAGES for command in commands(page) if command.startswith("vidrec keys ")]
KEYED = [(page, command) for page, command in CURL if KEY in command]
BARE = [shown for shown in CURL if shown not in KEYED]
SCALE = commands("docs/scale.md")
LOCUST = [command for page in PAGES for command in commands(page) if "locust" in command]
START_S = 300.0


def test_no_command_is_left_out() -> None:
    shown = {command for page in PAGES for command in commands(page)}
    assert shown == {*RUN_BY, *(command for _, command in CURL), *KEYS, *SCALE, *LOCUST}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
@pytest.mark.parametrize(("page", "command"), BARE, ids=[f"{page}: {command[:60]}" for page, command in BARE])
def test_curl(demo: RunningSystem, tmp_path: Path, page: str, command: str) -> None:
    picture = get(f"{demo.url}/videos/external:demo-3/thumbnail").content
    (tmp_path / "picture.jpg").write_bytes(picture)
    signed = {}
    if SIGNED in command:
        draw(tmp_path / "Tteokbokki.webm", *VP9, seconds=2.0)
        signed = get(f"{demo.url}/presigned_for_upload/upload/videos", filename="Tteokbokki.webm").json()
        command = command.replace(SIGNED, signed["PresignedURL"])
    words = shlex.split(command.replace(ADDRESS, demo.url))
    done = subprocess.run([*words, "-sS", "--fail-with-body"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    saved = [path for path in tmp_path.iterdir() if path.name not in ("picture.jpg", "Tteokbokki.webm")]
    if saved:
        assert saved[0].stat().st_size > 1000
    else:
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        if "status_url" in answer:  # nobody is to find what this test announced
            assert httpx.delete(answer["status_url"]).status_code == 202
    if signed:
        assert answer["video_id"] == signed["video_id"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_curl_with_a_key(demo: RunningSystem) -> None:
    key = new_key(demo, "--role", "consumer")
    with keyed_api(demo) as url:
        for _, command in KEYED:
            words = [word.replace(KEY, key) for word in shlex.split(command.replace(ADDRESS, url))]
            done = subprocess.run([*words, "-sS", "--fail-with-body"], capture_output=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert isinstance(json.loads(done.stdout), dict)
    assert len(KEYED) == 2


@pytest.mark.parametrize("command", KEYS)
def test_keys(demo: RunningSystem, command: str) -> None:
    done = demo.cli(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", SCALE)
def test_scale(demo: RunningSystem, command: str) -> None:
    words = [sys.executable, "-m", "vidrec", *shlex.split(command)[1:]]
    here = {**os.environ, "VIDREC_DATA_DIR": str(demo.data)}
    done = subprocess.run(words, env=here, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", LOCUST)
def test_locust(demo: RunningSystem, tmp_path: Path, command: str) -> None:
    short = (
        command.replace(ADDRESS, demo.url).replace("--run-time 1m", "--run-time 3s").replace("--users 50", "--users 5")
    )
    assert short.count("3s") == 1
    words = [str(Path(sys.executable).parent / "locust"), *shlex.split(short)[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class MakeRun:
    """`make run ...` as a person runs it, in a folder of its own and on a free port."""

    def __init__(self, command: str, data: Path) -> None:
        self.log = data.with_suffix(".log")
        words = [*shlex.split(command), f"DATA={data}", "PORT=0"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait_for(self, pattern: str) -> str:
        """The first group of the pattern, once it is said."""
        deadline = time.monotonic() + START_S
        while (found := re.search(pattern, self.log.read_text())) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return found[1]

    def __enter__(self) -> MakeRun:
        return self

    def __exit__(self, *_: object) -> None:
        """Ctrl-C reaches every process of the terminal; all must end."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=30)
        for process in alive:
            process.kill()
        self.process.wait(30)
        assert not alive


@pytest.mark.full
def test_make_run(tmp_path: Path) -> None:
    with MakeRun("make run", tmp_path / "data") as made:
        url = made.wait_for(r"vidrec answers at (\S+)")
        made.wait_for(r"(\d+) videos indexed, 0 failed")
        assert get(f"{url}/recommend", userid="mina").json()["strategy"] == "content"


@pytest.mark.full
def test_make_run_with_videos(tmp_path: Path) -> None:
    folder = tmp_path / "my videos"
    folder.mkdir()
    for number, source in enumerate(("testsrc2", "smptebars")):
        draw(folder / f"{number}.mp4", source=source)
    with MakeRun(f"make run VIDEOS='{folder}'", tmp_path / "data") as made:
        url = made.wait_for(r"vidrec answers at (\S+)")
        assert made.wait_for(r"(\d+) videos indexed, 0 failed") == "2"
        assert {video["category"] for video in get(f"{url}/videos").json()["items"]} == {"my videos"}


@pytest.mark.full
def test_better_weights(tmp_path: Path) -> None:
    shown = next(command for command in RUN_BY if "model fetch" in command)
    out = ["--data", str(tmp_path / "fetched"), "--json"]
    words = [sys.executable, "-m", "vidrec", *shlex.split(shown)[1:], *out]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:  # without internet: says so in a sentence; the rest is shown with weights that are here
        assert done.returncode == 1, done.stderr
        assert "could not download" in done.stderr
        assert "--from FOLDER" in done.stderr
        assert "Traceback" not in done.stderr
        random = ["model", "export", "--arch", "resnet50", "--weights", "untrained", "--int8"]
        words = [sys.executable, "-m", "vidrec", *random, *out]
        done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=True)
    folder = json.loads(done.stdout)["folder"]
    draw(tmp_path / "clip.mp4")
    with MakeRun(f"make run MODEL='{folder}' VIDEOS='{tmp_path}'", tmp_path / "data") as made:
        url = made.wait_for(r"vidrec answers at (\S+)")
        made.wait_for(r"(\d+) videos indexed, 0 failed")
        model = get(f"{url}/recommend", userid="u").json()["model"]
        assert model["name"].startswith("resnet50")
        assert model["version"] == Path(folder).name
