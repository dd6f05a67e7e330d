"""A producer's way through the whole system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from tests.clips import VP9, draw
from tests.systems import RunningSystem, get

INDEX_S = 60


@pytest.fixture
def announced(demo: RunningSystem) -> Iterator[list[str]]:
    """Ids of what a test uploads; deleted in the end, so that no other test finds it."""
    ids: list[str] = []
    yield ids
    for video_id in ids:
        assert httpx.delete(f"{demo.url}/videos/{video_id}").status_code == 202


def told(url: str) -> Iterator[dict[str, Any]]:
    """The stages, as a page hears of them."""
    with httpx.stream("GET", f"{url}/events", timeout=INDEX_S) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_a_video_is_found_seconds_after_it_was_put(demo: RunningSystem, tmp_path: Path, announced: list[str]) -> None:
    likeness = []
    for name, bucket, seconds in (("떡볶이.webm", "videos", 6), ("Tteokbokki.webm", "youtubepj-v3", 7)):
        file = draw(tmp_path / name, *VP9, seconds=seconds, size="320x180", source="testsrc2")
        asked = requests.get(
            f"{demo.url}/presigned_for_upload/upload/{bucket}", params={"filename": file.name}, timeout=30
        )
        signed = asked.json()
        announced.append(signed["video_id"])
        with file.open("rb") as body:
            assert requests.put(signed["PresignedURL"], data=body, timeout=30).status_code == 200
        began = time.monotonic()
        stages = [event["stage"] for event in told(signed["status_url"])]
        took = time.monotonic() - began
        assert stages[-1] == "indexed"
        assert set(stages) <= {"queued", "decoding", "embedding", "indexed"}
        assert took < INDEX_S
        video = get(signed["status_url"]).json()
        assert (video["title"], video["stage"]) == (file.stem, "indexed")
        assert video["media"]["video_codec"] == "vp9"
        assert get(f"{demo.url}{video['links']['download']}").content == file.read_bytes()
        assert get(f"{demo.url}{video['links']['thumbnail']}").content[:2] == b"\xff\xd8"
        likeness.append(video)
    first, second = likeness
    [nearest] = get(f"{demo.url}{first['links']['similar']}", n=1).json()["items"]
    assert nearest["id"] == second["id"]
    assert "vidrec_upload_to_recommendable_seconds_count" in get(f"{demo.url}/metrics").text


def test_what_is_no_video_fails_in_words(demo: RunningSystem, announced: list[str]) -> None:
    signed = get(f"{demo.url}/presigned_for_upload/upload/videos", filename="text.webm").json()
    announced.append(signed["video_id"])
    assert requests.put(signed["PresignedURL"], data="This is a text.", timeout=30).status_code == 200
    *_, last = told(signed["status_url"])
    assert last["stage"] == "failed"
    assert last["failure"]["reason"] == "not_a_video"
    assert len(last["failure"]["message"]) > 10
    assert str(demo.data) not in last["failure"]["message"]


def test_the_command_sends_a_file_in_parts_and_waits(demo: RunningSystem, tmp_path: Path, announced: list[str]) -> None:
    noise = ("-vf", "noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "4")
    file = draw(tmp_path / "long.mp4", *noise, seconds=6.0, size="640x360", fps=25)
    assert file.stat().st_size > 9 << 20
    command = [sys.executable, "-m", "vidrec", "upload", str(file), "--url", demo.url, "--parts-above", "1"]
    done = subprocess.run(
        [*command, "--wait", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    [entry] = json.loads(done.stdout)["files"]
    announced.append(entry["video_id"])
    assert entry["stage"] == "indexed"
    assert httpx.get(f"{demo.url}/videos/{entry['video_id']}/download", timeout=30).content == file.read_bytes()
