"""The model is changed while people ask: no error, no gap, no answer of two versions."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.clips import draw
from tests.servers import wait_until
from tests.systems import RunningSystem, get, running_system
from tests.tiny_model import store_tiny_model

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

CLIPS = 16
SOURCES = ("testsrc2", "smptebars", "yuvtestsrc", "rgbtestsrc")
USERS = 4
LEASES = {"VIDREC_LEASE_S": "3"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for n in range(CLIPS):
        draw(folder / f"{n:02d}.mp4", seconds=20 + n, gop=20, fps=4, source=SOURCES[n % len(SOURCES)])
    return folder


@dataclass
class Asked:
    """What was asked and what came back, from several threads."""

    url: str
    picture: bytes
    versions: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, name: str, request: Callable[[httpx.Client], httpx.Response]) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self.stop.is_set():
                began = time.monotonic()
                try:
                    answer = request(client)
                except httpx.HTTPError as error:
                    self.wrong.append(f"{name}: {error!r}")
                    continue
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                if answer.status_code != 200:
                    self.wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
                else:
                    self._check(name, answer.json())

    def _check(self, name: str, said: dict[str, Any]) -> None:
        pictures = json.dumps(said["items"]).split("/picture?model=")[1:]
        versions = {text[:13] for text in pictures}
        if "model" in said:
            self.versions[said["model"]["version"]] += 1
            versions |= {said["model"]["version"]}
            if said["strategy"] != "content" or said["degraded"]:
                self.wrong.append(f"{name}: {said['strategy']}, degraded: {said['degraded']}")
        similar = [item for item in said["items"] if item["why"]["type"] == "similar"]
        if len(versions) != 1:
            self.wrong.append(f"{name}: versions {versions}")
        if len(similar) < CLIPS - 4 or not all(item["why"]["moment"] for item in similar):
            self.wrong.append(f"{name}: only {len(similar)} are explained")


@contextmanager
def load(system: RunningSystem, picture: bytes) -> Iterator[Asked]:
    """Requests of all kinds, without a pause, for the time of the block."""
    asked = Asked(system.url, picture)
    requests: list[tuple[str, Callable[[httpx.Client], httpx.Response]]] = [
        (f"recommend {n}", lambda client, n=n: client.get("/recommend", params={"userid": f"u{n}", "n": 100}))
        for n in range(USERS)
    ]
    requests.append(("image", lambda client: client.post("/search/image?n=100", content=picture)))
    threads = [threading.Thread(target=asked.ask, args=request, daemon=True) for request in requests]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        asked.stop.set()
        for thread in threads:
            thread.join(60)


def watch(system: RunningSystem) -> None:
    videos = get(f"{system.url}/videos", limit=100).json()["items"]
    for n in range(USERS):
        event = {"user_id": f"u{n}", "video_id": videos[n]["id"], "type": "like", "event_id": f"e{n}"}
        assert httpx.post(f"{system.url}/events", json=[event], timeout=30).status_code == 202
        assert get(f"{system.url}/recommend", userid=f"u{n}").json()["strategy"] == "content"


def active(system: RunningSystem) -> str:
    return str(get(f"{system.url}/recommend", userid="u0").json()["model"]["version"])


def test_recommendations_go_on_throughout(clips: Path, tmp_path: Path) -> None:
    new = store_tiny_model(tmp_path / "elsewhere")
    with running_system(tmp_path / "data", "--videos", str(clips), **LEASES) as system:
        system.wait_until_filled()
        watch(system)
        old = active(system)
        video = get(f"{system.url}/videos", limit=1).json()["items"][0]
        picture = get(f"{system.url}/videos/{video['id']}/thumbnail").content
        with load(system, picture) as asked:
            command = [sys.executable, "-m", "vidrec", "model", "activate", str(new), "--data", str(system.data)]
            killed = subprocess.Popen(command)
            wait_until(lambda: (system.data / "models" / new.name).is_dir(), timeout_s=60)
            time.sleep(2)
            killed.kill()
            killed.wait(10)
            assert active(system) == old
            worker = system.child("worker")
            worker.kill()
            psutil.wait_procs([worker], timeout=10)
            arrived = draw(tmp_path / "arrived.mp4", seconds=30, gop=20, fps=4)
            taken = system.cli("ingest", str(arrived))
            assert taken.returncode == 0, taken.stderr
            done = system.cli("model", "activate", str(new), "--at-a-time", "2", "--json")
            assert done.returncode == 0, done.stderr
            said = json.loads(done.stdout)
            assert (said["version"], said["active"], said["compared"]["videos"]) == (new.name, True, CLIPS + 1)
            wait_until(lambda: asked.versions[new.name] > 20, timeout_s=60)
            [found] = [v for v in get(f"{system.url}/videos").json()["items"] if v["filename"] == "arrived.mp4"]
            assert found["status"] == "indexed"
            back = system.cli("model", "rollback", "--json")
            assert (back.returncode, json.loads(back.stdout)["version"]) == (0, old), back.stderr
            before = asked.versions[old]
            wait_until(lambda: asked.versions[old] > before + 20, timeout_s=60)
            listed = {
                model["version"]: model["role"] for model in json.loads(system.cli("model", "list", "--json").stdout)
            }
            assert listed == {old: "active", new.name: "previous"}
        assert asked.wrong == []
        assert set(asked.versions) == {old, new.name}
        assert sum(asked.versions.values()) > 100
        dropped = system.cli("model", "drop", new.name)
        assert dropped.returncode == 0, dropped.stderr
        assert "none was active before" in system.cli("model", "rollback").stderr
        assert system.interrupt(120) == 0


def test_another_model_at_the_start_changes_beside(clips: Path, tmp_path: Path) -> None:
    new = store_tiny_model(tmp_path / "elsewhere")
    with running_system(tmp_path / "data", "--videos", str(clips), **LEASES) as system:
        system.wait_until_filled()
        watch(system)
        old = active(system)
        assert system.interrupt(120) == 0
    with running_system(tmp_path / "data", "--model", str(new), "--videos", str(clips), **LEASES) as system:
        assert active(system) == old
        system.wait_for("is the active model", 120)
        assert active(system) == new.name
        said = get(f"{system.url}/recommend", userid="u0", n=100).json()
        assert (said["strategy"], len(said["items"])) == ("content", CLIPS - 1)
        assert system.interrupt(120) == 0
    assert not (tmp_path / "data" / "addresses.json").exists()
