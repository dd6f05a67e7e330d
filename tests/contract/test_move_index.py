"""`vidrec index move` from Milvus Lite in a data folder to a Milvus server."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.contract.test_index import DIMENSION, model_version, segments, vectors, video
from tests.servers import Server, milvus_lite, running, wait_until
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.domain.errors import IndexUnavailable
from vidrec.domain.models import MediaInfo, ModelVersion, NewVideo
from vidrec.supervisor.system import locked

MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=320, height=180, duration_s=30.0)
VIDEOS, SEGMENTS = 12, 3


def filled(folder: Path, model: ModelVersion) -> list[str]:
    """Makes a data folder with a small indexed library; answers the ids."""
    url = f"sqlite:///{folder / 'vidrec.db'}"
    migrate(url)
    with closing(SqlDatabase(url)) as database, running(milvus_lite(folder / "vectors")) as server:
        with database.transaction() as uow:
            uow.models.register(model)
            uow.models.activate(model.version)
            new = [
                NewVideo(location=f"file:///{n}", filename=f"{n}.webm", size_bytes=1, content_sha256=f"{n:064x}")
                for n in range(VIDEOS)
            ]
            added = [uow.catalogue.add(each).id for each in new]
            for video_id in added:
                uow.catalogue.mark_indexed(video_id, model_version=model.version, media=MEDIA, segment_count=SEGMENTS)
        with closing(MilvusIndex(server.uri, timeout_s=10.0)) as index:
            index.create(model)
            for n, (video_id, embedding) in enumerate(zip(added, vectors(5, VIDEOS), strict=True)):
                row = video(embedding, category="sea", video_id=video_id)
                index.upsert(model, row, segments(video_id, SEGMENTS, seed=n))
    return added


def move(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vidrec", "index", "move", "--data", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.full
def test_a_library_moves_from_the_folder_to_a_server(milvus: Server, tmp_path: Path) -> None:
    model = model_version()
    ids = filled(tmp_path, model)
    done = move(tmp_path, "--to", milvus.uri, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == moved(VIDEOS)
    with closing(MilvusIndex(milvus.uri, timeout_s=10.0)) as index:
        wait_until(lambda: index.count(model) == (VIDEOS, VIDEOS * SEGMENTS), timeout_s=20)
        found = index.videos(model, ids)
        for video_id, embedding in zip(ids, vectors(5, VIDEOS), strict=True):
            np.testing.assert_allclose(found[video_id], embedding, atol=1e-6)
        assert {len(s) for s in index.segments(model, dict.fromkeys(ids, SEGMENTS)).values()} == {SEGMENTS}
        assert found[ids[0]].shape == (DIMENSION,)
        index.drop(model)


@pytest.mark.full
def test_a_move_that_was_killed_is_carried_on(milvus: Server, tmp_path: Path) -> None:
    """Killed after it wrote some videos; whatever it was in the middle of is written again."""
    model = model_version()
    ids = filled(tmp_path, model)
    process = subprocess.Popen(
        [sys.executable, "-m", "vidrec", "index", "move", "--data", str(tmp_path), "--to", milvus.uri],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with closing(MilvusIndex(milvus.uri, timeout_s=10.0)) as index:

        def some() -> bool:
            try:
                return bool(index.videos(model, ids, fresh=True))
            except IndexUnavailable:  # no collection yet
                return False

        wait_until(some, timeout_s=90)
        process.kill()
        process.wait()
        before = len(index.videos(model, ids, fresh=True))
        done = move(tmp_path, "--to", milvus.uri, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == moved(VIDEOS - before, already=before)
        assert index.count(model) == (VIDEOS, VIDEOS * SEGMENTS)
        again = move(tmp_path, "--to", milvus.uri, "--json", "--all")
        assert json.loads(again.stdout) == moved(VIDEOS)
        assert index.count(model) == (VIDEOS, VIDEOS * SEGMENTS)
        index.drop(model)


def moved(videos: int, *, already: int = 0) -> dict[str, int]:
    return {"videos": videos, "segments": videos * SEGMENTS, "already": already, "missing": 0}


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        done = move(tmp_path, *arguments)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "is where the vectors are now" in told("--to", "http://127.0.0.1:19530")
    assert "there are no vectors in" in told("--to", "http://127.0.0.1:1")
    (tmp_path / "vectors").mkdir()
    assert "must be http://host:port" in told("--to", "milvus")
    with locked(tmp_path):
        assert "already runs on" in told("--to", "http://127.0.0.1:1")
