"""A long video over several workers that are killed: what comes out is what one worker gives that does it in one go."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.clips import draw, ffmpeg
from tests.servers import milvus_lite, running, wait_until
from tests.systems import RunningSystem, get, running_system
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import Embedding, JobState, Segment

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

MINUTES = 65
SOURCES = ("testsrc2", "smptebars", "yuvtestsrc", "rgbtestsrc")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of scenes of 20 seconds."""
    folder = tmp_path_factory.mktemp("clip")
    parts = [draw(folder / f"{source}.mp4", seconds=20, gop=20, fps=4, source=source) for source in SOURCES]
    order = folder / "order.txt"
    scenes = np.random.default_rng(3).integers(0, len(parts), MINUTES * 3)
    order.write_text("".join(f"file '{parts[scene]}'\n" for scene in scenes))
    film = folder / "film.mp4"
    ffmpeg("-f", "concat", "-safe", "0", "-i", order, "-c", "copy", film)
    return film


def held(data: Path) -> tuple[Embedding, list[Segment]]:
    """The video's and its segments' embeddings in a system that has ended."""
    with closing(SqlDatabase(f"sqlite:///{data / 'vidrec.db'}")) as database, database.snapshot() as uow:
        model = uow.models.active()
        [video] = uow.catalogue.get(uow.catalogue.indexed_ids()).values()
    assert model is not None
    with running(milvus_lite(data / "vectors")) as server, closing(MilvusIndex(server.uri, timeout_s=30.0)) as index:
        index.create(model)
        assert index.count(model) == (1, video.segment_count)
        found = index.segments(model, {video.id: video.segment_count})[video.id]
        return index.videos(model, [video.id])[video.id], list(found)


def ranges_done(data: Path) -> int:
    with closing(sqlite3.connect(f"file:{data / 'vidrec.db'}?mode=ro", uri=True, timeout=10)) as connection:
        return int(connection.execute("select count(*) from split_ranges where finished").fetchone()[0])


@contextmanager
def workers(system: RunningSystem, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """More workers on the system's stores."""
    told = system.child("worker").environ()
    environment = {**os.environ, **{name: value for name, value in told.items() if name.startswith("VIDREC_")}}
    command = [sys.executable, "-m", "vidrec", "worker", "--concurrency", "1"]
    with (system.data / "logs" / "more.log").open("ab") as log:
        started = [subprocess.Popen(command, env=environment, stdout=log, stderr=log) for _ in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait(10)


def test_killed_workers_share_a_film(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.mp4").symlink_to(clip)
    arguments = ("--videos", str(tmp_path / "films"))
    with running_system(tmp_path / "whole", *arguments, VIDREC_SPLIT_S="0") as system:
        system.wait_until_filled()
        assert system.interrupt(120) == 0
    with running_system(tmp_path / "split", *arguments, VIDREC_LEASE_S="3") as system:
        assert system.url
        with workers(system, 2) as more:
            wait_until(lambda: ranges_done(system.data) >= 1, timeout_s=120)
            more[0].kill()
            own = system.child("worker")
            own.kill()
            psutil.wait_procs([own], timeout=10)
            told = get(f"{system.url}/videos").json()["items"][0]
            assert told["stage"] in ("decoding", "embedding", "indexed")
            wait_until(lambda: ranges_done(system.data) in (0, 4, 5, 6, 7), timeout_s=120)
            more[1].kill()
            system.wait_until_filled()
        with closing(sqlite3.connect(system.data / "vidrec.db")) as connection:
            live = "select count(*) from jobs where state in ('queued', 'running')"
            wait_until(lambda: connection.execute(live).fetchone()[0] == 0, timeout_s=60)
            done = "select kind, count(*) from jobs where state = ? group by kind"
            kinds = Counter(dict(connection.execute(done, (JobState.DONE,)).fetchall()))
        assert system.interrupt(120) == 0
    assert (kinds["index_range"], kinds["fold_video"]) == (7, 1)
    assert not list((tmp_path / "split" / "media").glob("partials/*/*/*"))
    (whole, expected), (vector, segments) = held(tmp_path / "whole"), held(tmp_path / "split")
    assert [s.time for s in segments] == [s.time for s in expected]
    assert min(float(a.embedding @ b.embedding) for a, b in zip(segments, expected, strict=True)) >= 0.9999
    assert float(whole @ vector) >= 0.9999
    names = [sorted(p.name for p in (tmp_path / name / "media").rglob("*.jpg")) for name in ("whole", "split")]
    assert names[0] == names[1]
