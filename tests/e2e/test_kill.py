"""Any process may be killed at any moment: what was acknowledged is there, what was running is done again, nothing
doubles."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.clips import draw, ffmpeg
from tests.servers import milvus_lite, running, wait_until
from tests.systems import RunningSystem, get, running_system
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import Embedding, JobState, ModelVersion

pytestmark = pytest.mark.full

PICTURES, COPIES, MINUTES = 4, 20, 4
"""So many different pictures, each in so many files whose bytes differ, each so long: work for half a minute."""
SOURCES = ("testsrc2", "smptebars", "yuvtestsrc", "rgbtestsrc")
LEASES = {"VIDREC_LEASE_S": "3"}
"""What a dead worker had begun is begun again soon."""
TOTAL = PICTURES * COPIES


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for picture, source in enumerate(SOURCES):
        part = draw(folder / f"part-{picture}.mp4", seconds=20, gop=20, fps=4, source=source)
        for copy in range(COPIES):
            target = folder / f"{picture}-{copy:02d}.mp4"
            length = ("-stream_loop", str(MINUTES * 3 - 1))
            ffmpeg(*length, "-i", part, "-c", "copy", "-metadata", f"title={picture}-{copy}", target)
        part.unlink()
    return folder


def statuses(data: Path) -> Mapping[str, int]:
    """Number of videos by status, as SQL has it now."""
    with closing(sqlite3.connect(f"file:{data / 'vidrec.db'}?mode=ro", uri=True, timeout=10)) as connection:
        return dict(connection.execute("select status, count(*) from videos group by status"))


def wait_until_indexed(system: RunningSystem, count: int) -> None:
    assert system.url, "the schema is there once the API answers"
    wait_until(lambda: statuses(system.data).get("indexed", 0) >= count, timeout_s=180, every_s=0.1)


@contextmanager
def vectors(data: Path) -> Iterator[tuple[MilvusIndex, ModelVersion]]:
    """The vectors of a system that has ended."""
    with closing(SqlDatabase(f"sqlite:///{data / 'vidrec.db'}")) as database, database.snapshot() as uow:
        model = uow.models.active()
    assert model is not None
    with running(milvus_lite(data / "vectors")) as server:
        index = MilvusIndex(server.uri, timeout_s=30.0)
        index.create(model)
        yield index, model
        index.close()


def check_that_all_is_there_once(data: Path) -> None:
    """One row a video and segment, copies of one picture alike, no job left, none counted as failed."""
    with closing(SqlDatabase(f"sqlite:///{data / 'vidrec.db'}")) as database, database.snapshot() as uow:
        videos = uow.catalogue.get(uow.catalogue.indexed_ids())
    with closing(sqlite3.connect(data / "vidrec.db")) as connection:
        jobs = dict(connection.execute("select state, count(*) from jobs group by state"))
    assert len(videos) == TOTAL
    assert jobs == {JobState.DONE: TOTAL}
    counts = {video.id: video.segment_count for video in videos.values()}
    with vectors(data) as (index, model):
        assert index.count(model) == (TOTAL, sum(counts.values()))
        embeddings = index.videos(model, list(videos))
        segments = index.segments(model, counts)
    assert {video_id: len(held) for video_id, held in segments.items()} == counts
    pictures: dict[str, list[str]] = {}
    for video in videos.values():
        pictures.setdefault(video.filename.partition("-")[0], []).append(video.id)
    for ids in pictures.values():
        assert len({counts[i] for i in ids}) == 1
        assert least_cosine(embeddings, ids) > 0.9999


def least_cosine(embeddings: Mapping[str, Embedding], ids: list[str]) -> float:
    rows = np.stack([embeddings[i] for i in ids])
    return float((rows @ rows.T).min())


def test_killing_each_process_loses_and_doubles_nothing(clips: Path, tmp_path: Path) -> None:
    with running_system(tmp_path / "data", "--videos", str(clips), **LEASES) as system:
        wait_until_indexed(system, 4)
        told = get(f"{system.url}/videos", status="indexed", limit=2).json()["items"]
        events = [
            {"user_id": "u", "video_id": video["id"], "type": "watch", "fraction": 1.0, "event_id": video["id"]}
            for video in told
        ]
        assert httpx.post(f"{system.url}/events", json=events).status_code == 202
        for name in ("worker", "encoder", "milvus", "api", "worker"):
            process = system.child(name)
            done = statuses(system.data).get("indexed", 0)
            assert done < TOTAL, "killed after everything was done: nothing was tested"
            process.kill()
            psutil.wait_procs([process], timeout=10)
            wait_until_indexed(system, min(TOTAL, done + 6))
        system.wait_until_filled()
        system.wait_for(f"{TOTAL} videos indexed, 0 failed", 5)
        repeated = httpx.post(f"{system.url}/events", json=events).json()
        assert repeated == {"accepted": 2, "repeated": 2, "dropped": 0}
        shown = get(f"{system.url}/recommend", userid="u", n=100).json()
        assert not {video["id"] for video in told} & {item["id"] for item in shown["items"]}
        assert (shown["strategy"], shown["degraded"]) == ("content", False)
        restarted = Counter(line.split()[2].rstrip(":") for line in system.said.splitlines() if "restarted the" in line)
        assert restarted == {"worker": 2, "encoder": 1, "milvus": 1, "api": 1}
        assert system.interrupt() == 0
    check_that_all_is_there_once(tmp_path / "data")


def test_killing_the_supervisor_ends_all_and_the_next_start_goes_on(clips: Path, tmp_path: Path) -> None:
    arguments = ("--videos", str(clips))
    with running_system(tmp_path / "data", *arguments, **LEASES) as system:
        wait_until_indexed(system, 8)
        family = system.family()
        assert len(family) >= 5
        system.process.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive
    before = statuses(tmp_path / "data")
    assert 8 <= before["indexed"] < TOTAL
    with running_system(tmp_path / "data", *arguments, **LEASES) as system:
        system.wait_until_filled()
        assert system.interrupt() == 0
    check_that_all_is_there_once(tmp_path / "data")


def test_ctrl_c_leaves_no_process_and_gives_work_back(clips: Path, tmp_path: Path) -> None:
    with running_system(tmp_path / "data", "--videos", str(clips), **LEASES) as system:
        wait_until_indexed(system, 4)
        family = system.family()
        assert system.interrupt() == 0
        _, alive = psutil.wait_procs(family, timeout=1)
        assert not alive
        assert "Traceback" not in system.said
    after = statuses(tmp_path / "data")
    assert sum(after.values()) == TOTAL
    assert "processing" not in after, "what was begun waits again"
