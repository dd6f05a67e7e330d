"""What `/stream` sends, in a real browser: it plays, knows its length and seeks. Skips where there is no Chromium."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clips import VP9, draw
from tests.service.conftest import System
from vidrec.adapters.ffmpeg import FfmpegFrameSource, FfmpegRenderer
from vidrec.domain.models import NewVideo, Playback
from vidrec.domain.playback import rendering

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_S = 60
PAGE = """<!doctype html><body><img src="/later"><script>
async function watch(name, address) {
  const video = Object.assign(document.createElement("video"), {muted: true});
  const next = (event) => new Promise((done, failed) => {
    video.addEventListener(event, done, {once: true});
    video.addEventListener("error", () => failed(new Error(video.error.message)), {once: true});
  });
  document.body.append(video);
  const known = next("loadedmetadata");
  video.src = address;
  await known;
  const seeked = next("seeked");
  video.currentTime = 0.7 * video.duration;
  await seeked;
  const from = video.currentTime;
  await video.play();
  while (video.currentTime < from + 0.3) await next("timeupdate");
  const frames = video.getVideoPlaybackQuality().totalVideoFrames;
  return {name, length: video.duration, from, frames, size: [video.videoWidth, video.videoHeight]};
}
const all = Object.entries(%s).map(([name, address]) =>
  watch(name, address).catch((error) => ({name, error: String(error)})));
Promise.all(all).then((told) => fetch("/told", {method: "POST", body: JSON.stringify(told)}));
</script>"""


@contextmanager
def page(videos: dict[str, str], told: list[Any]) -> Iterator[str]:
    """The address of a page that watches these videos; it is loaded once it has told what it saw."""
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/later":
                done.wait(WAIT_S)
            body = (PAGE % json.dumps(videos)).encode() if self.path == "/" else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            done.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            done.set()
            server.shutdown()
            thread.join()


def add(system: System, path: Path) -> str:
    """Takes the video in as the worker would; answers where it is streamed."""
    source = FfmpegFrameSource(max_decode_s=240, max_memory_bytes=1 << 30, max_pixels=1 << 24)
    renderer = FfmpegRenderer(scratch=path.parent, max_render_s=240, max_memory_bytes=1 << 30, max_pixels=1 << 24)
    media = source.probe(path)
    how = rendering(media)
    playback, location = Playback.ORIGINAL, None
    if how is not None:
        copy = path.with_name(f"{path.name}.{how.container}")
        with renderer.render(path, media, how, check=lambda: None) as made:
            copy.write_bytes(made.read())
        playback, location = Playback.RENDITION, copy.as_uri()
    with system.database.transaction() as uow:
        new = NewVideo(
            location=path.as_uri(), filename=path.name, size_bytes=1, content_sha256=path.name.ljust(64, "0")
        )
        video = uow.catalogue.add(new)
        uow.catalogue.mark_indexed(video.id, model_version="m", media=media, segment_count=0)
        uow.catalogue.set_playback(video.id, playback, location)
    return f"http://127.0.0.1:{system.port}/videos/{video.id}"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_chromium_plays_and_seeks_whatever_was_sent_in(system: System, tmp_path: Path) -> None:
    codecs: dict[str, tuple[str, ...]] = {
        "phone.mov": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1"),
        "film.mkv": ("-bf", "2"),
        "camera.avi": ("-c:v", "mpeg4"),
        "free.ogv": ("-c:v", "libtheora"),
        "vp9.mkv": VP9,
        "web.webm": VP9,
        "web.mp4": ("-bf", "2"),
    }
    videos: dict[str, str] = {}
    for name, codec in codecs.items():
        address = add(system, draw(tmp_path / name, *codec, seconds=20, size="320x180", gop=30))
        videos[name] = f"{address}/stream"
        videos[f"original {name}"] = f"{address}/download"
    told: list[Any] = []
    with page(videos, told) as address:
        subprocess.run(
            [
                *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *("--autoplay-policy=no-user-gesture-required", f"--user-data-dir={tmp_path / 'profile'}", address),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=2 * WAIT_S,
            check=False,
        )
    seen = {one["name"]: one for one in told}
    assert set(seen) == set(videos)
    for name in codecs:
        assert "error" not in seen[name], seen[name]
        assert seen[name]["length"] == pytest.approx(20.0, abs=0.2)
        assert seen[name]["from"] == pytest.approx(14.0, abs=0.2)
        assert seen[name]["size"] == [320, 180]
        assert seen[name]["frames"] > 0
    for name in ("phone.mov", "camera.avi", "free.ogv"):
        assert "error" in seen[f"original {name}"], "then no copy of it is needed any more"
