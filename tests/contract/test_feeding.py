"""Files that are filled while a confined child reads them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import draw
from vidrec.adapters.feeding import UNABLE, Feeder
from vidrec.adapters.ffmpeg import FfmpegFrameSource, FfmpegRenderer
from vidrec.adapters.s3.partial import BLOCK, RemoteFile
from vidrec.adapters.sandbox import ConfinedProcess, Limits
from vidrec.domain.errors import StoreUnavailable
from vidrec.domain.models import TimeRange
from vidrec.domain.playback import TRANSCODING

SOURCE = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 2304)
LIMITS = Limits(wall_s=30, cpu_s=30, memory_bytes=1 << 30)
RAW = ("-c:v", "rawvideo", "-pix_fmt", "yuv420p")
"""Large without any work; too plain for the decoder's checks of a whole file."""
LARGE = ("-c:v", "mjpeg", "-q:v", "1", "-qmin", "1", "-pix_fmt", "yuvj420p")
"""Large packets with little work."""


class Served:
    """A file as a store that answers ranges."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self.fetched = 0
        self.away = False
        self._file = path.open("rb", buffering=0)

    def __call__(self, start: int, stop: int) -> Iterator[bytes]:
        if self.away:
            raise StoreUnavailable("the object store does not answer: switched off by the test")
        self.fetched += stop - start
        yield os.pread(self._file.fileno(), stop - start, start)

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def remote(path: Path, scratch: Path) -> Iterator[tuple[RemoteFile, Served]]:
    served = Served(path)
    file = RemoteFile(served, served.size, scratch=scratch, max_bytes=1 << 30)
    try:
        yield file, served
    finally:
        file.close()
        served.close()


def run(code: str, file: RemoteFile, limits: Limits = LIMITS) -> bytes:
    with (
        file.path.open("rb", buffering=0) as opened,
        ConfinedProcess([sys.executable, "-ISc", code], stdin=opened, limits=limits, fill=file.fill) as process,
    ):
        said = b"".join(data for _, data in process.chunks())
        assert not process.failed, process.messages
    return said


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(random.Random(5).randbytes(40 * BLOCK + 7))
    return path


def test_reads_wait_for_their_bytes_wherever_they_are(data: Path, tmp_path: Path) -> None:
    places = [(39 * BLOCK, 7), (0, 10), (20 * BLOCK - 3, 6), (40 * BLOCK, 100), (50 * BLOCK, 5)]
    reads = "".join(f"os.lseek(0, {at}, 0); os.write(1, os.read(0, {n}));" for at, n in places)
    whole = data.read_bytes()
    with remote(data, tmp_path) as (file, served):
        said = run(f"import os; {reads} os.write(1, os.pread(0, 4, {10 * BLOCK}))", file)
        assert said == b"".join(whole[at : at + n] for at, n in [*places, (10 * BLOCK, 4)])
        assert served.fetched < 16 * BLOCK


def test_all_of_it_can_be_read(data: Path, tmp_path: Path) -> None:
    code = "import os\nwhile data := os.read(0, 70000): os.write(1, data)"
    with remote(data, tmp_path) as (file, served):
        assert run(code, file) == data.read_bytes()
        assert served.fetched == served.size


def test_a_store_that_is_away_ends_the_child_and_is_told(data: Path, tmp_path: Path) -> None:
    with remote(data, tmp_path) as (file, served):
        served.away = True
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="switched off"):
            run("import os, time; os.read(0, 10); time.sleep(60)", file)
        assert time.monotonic() - began < 20


@pytest.mark.full
def test_waiting_for_bytes_is_not_the_childs_fault(data: Path, tmp_path: Path) -> None:
    with remote(data, tmp_path) as (file, _):
        fill, limits = file.fill, Limits(wall_s=2, cpu_s=30, memory_bytes=1 << 30)

        def slowly(start: int, stop: int) -> None:
            if start >= BLOCK:
                time.sleep(3)
            fill(start, stop)

        with file.path.open("rb", buffering=0) as opened:
            code = f"import os; os.lseek(0, {5 * BLOCK}, 0); os.write(1, os.read(0, 3))"
            command = [sys.executable, "-ISc", code]
            with ConfinedProcess(command, stdin=opened, limits=limits, fill=slowly) as process:
                assert b"".join(data for _, data in process.chunks()) == data.read_bytes()[5 * BLOCK :][:3]


def test_a_child_that_is_left_alone_is_reaped_while_it_waits(data: Path, tmp_path: Path) -> None:
    with remote(data, tmp_path) as (file, _), file.path.open("rb", buffering=0) as opened:
        command = [sys.executable, "-ISc", "import os, time; os.read(0, 10); os.write(1, b'x'); time.sleep(60)"]
        with ConfinedProcess(command, stdin=opened, limits=LIMITS, fill=file.fill) as process:
            next(process.chunks())
        assert process.failed


def test_where_reads_cannot_be_announced_all_is_there_first(data: Path, tmp_path: Path) -> None:
    with remote(data, tmp_path) as (file, served), file.path.open("rb", buffering=0) as opened:
        feeder = Feeder(opened, file.fill)
        with socket.socket(fileno=os.dup(feeder.child_end)) as launcher:
            feeder.start(lambda: None)
            launcher.send(UNABLE)
            assert launcher.recv(1)
        feeder.close()
        assert served.fetched == served.size
        assert opened.read(10) == data.read_bytes()[:10]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of large packets, with the index at the end or in the way."""
    folder = tmp_path_factory.mktemp("large")
    for name in ("end.mov", "front.mov", "cues.mkv", "index.avi"):
        fast = ("-movflags", "+faststart") if name == "front.mov" else ()
        draw(folder / name, *RAW, *fast, seconds=120, size="256x144", fps=5, gop=1)
    return folder


@pytest.mark.parametrize("name", ["end.mov", "front.mov", "cues.mkv", "index.avi"])
def test_a_range_of_a_video_is_looked_into_without_the_rest(clips: Path, tmp_path: Path, name: str) -> None:
    path, within = clips / name, TimeRange(60.0, 66.0)
    info = SOURCE.probe(path)
    wanted = [list(part.times_s) for part in SOURCE.sample(path, info, within, batch=8)]
    with remote(path, tmp_path) as (file, served):
        assert SOURCE.probe(file) == info
        assert [list(part.times_s) for part in SOURCE.sample(file, info, within, batch=8)] == wanted
        assert served.fetched < 0.7 * served.size, (served.fetched, served.size)


@pytest.mark.parametrize("name", ["a.mov", "a.mkv"])
def test_the_same_frames_come_of_it(tmp_path: Path, name: str) -> None:
    path, within = draw(tmp_path / name, *LARGE, seconds=30, size="640x360", fps=3), TimeRange(0.0, 30.0)
    info = SOURCE.probe(path)
    there = list(SOURCE.sample(path, info, within, batch=32))
    with remote(path, tmp_path) as (file, _):
        come = list(SOURCE.sample(file, info, within, batch=32))
    assert [part.frames.tobytes() for part in come] == [part.frames.tobytes() for part in there]


@pytest.mark.full
def test_a_copy_can_be_made_of_it(tmp_path: Path) -> None:
    path = draw(tmp_path / "short.mkv", *LARGE, seconds=1)
    renderer = FfmpegRenderer(
        scratch=tmp_path / "copies", max_render_s=240, max_memory_bytes=1 << 30, max_pixels=4096 * 2304
    )
    info = SOURCE.probe(path)
    with remote(path, tmp_path) as (file, _), renderer.render(file, info, TRANSCODING, check=lambda: None) as copy:
        assert copy.read(12)[4:8] == b"ftyp"
