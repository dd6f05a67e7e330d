"""Videos as people send them, through the worker with the real ffmpeg, store, queue and SQL, to what browsers play."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.clips import draw, ffmpeg
from tests.fakes.encoder import DIMENSION, FakeEncoder
from tests.fakes.index import FakeIndex
from vidrec.adapters.ffmpeg import FfmpegFrameSource, FfmpegRenderer
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.erase import Eraser
from vidrec.application.ingest import Ingest, find_files
from vidrec.application.jobs import RENDER_VIDEO
from vidrec.application.worker import Worker
from vidrec.bootstrap import open_queue
from vidrec.domain.models import JobState, ModelVersion, Playback, Video, VideoStatus
from vidrec.domain.playback import Playable, playable, rendering
from vidrec.settings import load_settings

MODEL = ModelVersion(version="mtest00000000", name="test", dimension=DIMENSION, trained=False)
SOURCE = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 2304)
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1")


class Rig:
    """The stores in a folder, and workers on them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.database = SqlDatabase(url)
        self.queue = open_queue(load_settings(), self.database)
        self.store = LocalStore(folder / "media")
        self.scratch = folder / "scratch"
        with self.database.transaction() as uow:
            uow.models.register(MODEL)
            uow.models.activate(MODEL.version)

    def work(self, *, lease_s: float = 30.0) -> None:
        """Until no job is left."""
        renderer = FfmpegRenderer(
            scratch=self.scratch, max_render_s=240, max_memory_bytes=1 << 30, max_pixels=4096 * 2304
        )
        Worker(
            self.database,
            self.queue,
            FakeIndex(),
            SOURCE,
            FakeEncoder(),
            self.store,
            renderer=renderer,
            lease_s=lease_s,
            poll_s=0.02,
        ).run(threading.Event(), until_empty=True)

    def add(self, *paths: Path) -> list[str]:
        return Ingest(self.database, self.queue).add(find_files(paths)).queued

    def video(self, video_id: str) -> Video:
        with self.database.snapshot() as uow:
            return uow.catalogue.get([video_id])[video_id]


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path)
    yield rig
    rig.database.close()


def iphone(path: Path) -> Path:
    return draw(path, *HEVC, size="320x180", seconds=3)


def sound(path: Path, *codecs: str) -> Path:
    """The drawn picture with a tone."""
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=3")
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=duration=3", *codecs, path)
    return path


H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
MAKERS = {
    "iphone.mov": iphone,
    "film.mkv": lambda path: sound(path, *H264, "-c:a", "aac"),
    "camera.avi": lambda path: sound(path, "-c:v", "mpeg4", "-c:a", "mp3"),
    "free.ogv": lambda path: sound(path, "-c:v", "libtheora", "-c:a", "libvorbis"),
    "web.mp4": lambda path: sound(path, *H264, "-c:a", "aac"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_indexed_video_plays(rig: Rig, tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name)
    before = path.read_bytes()
    [video_id] = rig.add(path)
    rig.work()
    video = rig.video(video_id)
    assert (video.status, playable(video)) == (VideoStatus.INDEXED, Playable.YES)
    assert video.playback is (Playback.ORIGINAL if name == "web.mp4" else Playback.RENDITION)
    with rig.store.local(video.rendition or video.location) as played:
        shown = SOURCE.probe(played)
    assert rendering(shown) is None
    assert (shown.width, shown.height) == (320, 180)
    assert shown.duration_s == pytest.approx(3.0, abs=0.3)
    assert (shown.audio_codec is not None) == (name != "iphone.mov")
    assert path.read_bytes() == before
    assert not rig.scratch.exists() or not list(rig.scratch.iterdir())
    Eraser(rig.database, rig.queue).erase_video(video_id)
    rig.work()
    assert not (tmp_path / "media" / "renditions").exists() or not list((tmp_path / "media" / "renditions").iterdir())


def test_a_worker_that_is_killed_in_the_middle_leaves_it_to_the_next(
    rig: Rig, database_url: str, tmp_path: Path
) -> None:
    path = draw(tmp_path / "long.avi", "-c:v", "mpeg4", size="1280x720", seconds=30, source="color")
    [video_id] = rig.add(path)
    program = f"""
import sys
sys.path[:] = {sys.path!r}
from tests.contract.test_playable import *
Rig({database_url!r}, Path({str(tmp_path)!r})).work(lease_s=1.0)
"""
    with subprocess.Popen([sys.executable, "-c", program]) as worker:
        deadline = time.monotonic() + 60
        while not [p for p in psutil.Process(worker.pid).children() if p.nice() == 19]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    video = rig.video(video_id)
    assert (video.status, video.playback) == (VideoStatus.INDEXED, Playback.PREPARING)
    assert list(rig.scratch.iterdir()) == []
    assert not (tmp_path / "media" / "renditions").exists()
    rig.work(lease_s=1.0)
    assert rig.video(video_id).playback is Playback.RENDITION
    jobs = [job for job in rig.queue.list() if job.kind == RENDER_VIDEO]
    assert [(job.state, job.attempts) for job in jobs] == [(JobState.DONE, 2)]


def test_what_became_hostile_after_it_was_indexed_ends_as_no(rig: Rig, tmp_path: Path) -> None:
    """The file is the user's own and may change at any time."""
    path = MAKERS["camera.avi"](tmp_path / "camera.avi")
    [video_id] = rig.add(path)
    real = rig.queue.due
    rig.queue.due = lambda kinds: changed(path) or real(kinds)  # type: ignore[method-assign]

    def changed(path: Path) -> bool:
        if rig.video(video_id).status is VideoStatus.INDEXED:
            path.write_bytes(b"#EXTM3U\n#EXTINF:6,\nfile:///etc/passwd\n" + os.urandom(5000))
        return False

    rig.work()
    video = rig.video(video_id)
    assert (video.status, playable(video)) == (VideoStatus.INDEXED, Playable.NO)
    assert video.rendition is None
