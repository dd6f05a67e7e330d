"""Both sides in a real browser, with videos in a real object store that notifies by itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.clips import VP9, draw
from tests.servers import ACCESS_KEY, SECRET_KEY, VERSITYGW, Server, free_port, running, s3_server, s3_servers
from tests.systems import RunningSystem, running_system
from vidrec.adapters.s3 import S3, S3Options, buckets

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(VERSITYGW not in s3_servers(), reason="versitygw is not here; `make versitygw` builds it"),
]
READY_MS = 120_000
PLAYED = "() => { const v = document.getElementById('video'); return v.error || v.currentTime > 0.5; }"
NAME = "떡볶이 Tteokbokki.webm"


@dataclass
class Running:
    """The whole system on buckets."""

    system: RunningSystem
    server: Server
    url: str


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("whole"), free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "library").mkdir()
    draw(folder / "library" / "first.webm", *VP9, seconds=3)
    server = s3_server(VERSITYGW, folder, webhook=f"{url}/notifications/s3?token=hush")
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "VIDREC_MEDIA_URL": "s3://media/kept",
        "VIDREC_S3_ENDPOINT": server.uri,
        "VIDREC_S3_PATH_STYLE": "true",
        "VIDREC_S3_REGION": "us-east-1",
        "VIDREC_NOTIFICATION_TOKEN": "hush",
    }
    arguments = ("--videos", str(folder / "library"), "--port", str(port))
    with running_system(folder / "data", *arguments, **environment) as system:
        assert system.url == url
        # The server asks the webhook at its start, so the service waits for its store for a while.
        with running(server), pytest.MonkeyPatch.context() as variables:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                variables.setenv(name, environment[name])
            s3 = S3(S3Options(endpoint=server.uri, region="us-east-1", path_style=True))
            for bucket in ("videos", "media"):
                s3.client.create_bucket(Bucket=bucket)
                buckets.set_cors(s3, bucket, buckets.wanted_cors([url]))
            s3.close()
            system.wait_until_filled()
            yield Running(system, server, url)


def test_a_webm_goes_into_the_bucket_and_plays_from_there(whole: Running, browser: Browser, tmp_path: Path) -> None:
    clip = draw(tmp_path / NAME, *VP9, seconds=5, size="320x180", source="testsrc")
    store = urlsplit(whole.server.uri).netloc
    context = browser.new_context(base_url=whole.url, locale="en-US")
    page = context.new_page()
    wrong: list[str] = []
    sent: list[str] = []
    page.on("console", lambda m: m.type == "error" and wrong.append(m.text))
    page.on("request", lambda r: sent.append(f"{r.method} {urlsplit(r.url).netloc}"))
    page.goto("/upload")
    page.locator("#files").set_input_files(clip)
    row = page.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text("Can be recommended now", timeout=READY_MS)
    assert f"PUT {store}" in sent
    video_id = str(row.locator(".watch").get_attribute("href")).partition("play=")[2]
    expect(row.locator(".thumb img")).to_be_visible()

    page.goto(f"/?user=mina&play={video_id}")
    video = page.locator("#video")
    video.evaluate("v => { v.muted = true; v.play(); }")  # nobody clicked: browsers play no sound then
    page.wait_for_function(PLAYED, timeout=30_000)
    assert video.evaluate("v => v.error && v.error.message") is None
    assert video.get_attribute("crossorigin") == "anonymous"
    assert f"GET {store}" in sent
    picture = page.evaluate(
        """() => { const v = document.getElementById('video'), c = document.createElement('canvas');
        c.width = v.videoWidth; c.height = v.videoHeight; c.getContext('2d').drawImage(v, 0, 0);
        return c.toDataURL('image/jpeg').length }"""
    )
    assert picture > 1000  # a frame of it can be searched for
    download = httpx.get(f"{whole.url}/videos/{video_id}/download", follow_redirects=True)
    assert hashlib.sha256(download.content).digest() == hashlib.sha256(clip.read_bytes()).digest()
    assert wrong == []
    context.close()


def test_the_command_sends_there_too(whole: Running, tmp_path: Path) -> None:
    small = draw(tmp_path / "small.webm", *VP9, seconds=2)
    large = tmp_path / "large.webm"
    large.write_bytes(small.read_bytes() + bytes(17 << 20))
    command = [sys.executable, "-m", "vidrec", "upload", str(small), str(large), "--url", whole.url]
    ended = subprocess.run(
        [*command, "--wait", "--parts-above", "16", "--json"], capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["counts"] == {"indexed": 2}
    for file in json.loads(ended.stdout)["files"]:
        answer = httpx.get(f"{whole.url}/videos/{file['video_id']}/stream")
        assert (answer.status_code, answer.content) == (302, b"")
