"""What the Milvus adapter does when its server is not there, does not answer, or comes back."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.test_index import Library, calls, expect, fails_within, model_version, segments, vectors, video
from tests.servers import Server, free_port, milvus_lite, running, wait_until
from vidrec.adapters.milvus import MilvusIndex, index, milvus_lite_command
from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.domain.errors import IndexUnavailable, InvalidInput
from vidrec.domain.models import VideoVector


@pytest.fixture
def own_lite(tmp_path: Path) -> Iterator[Server]:
    """A Milvus Lite server that the test may kill."""
    with running(milvus_lite(tmp_path / "data")) as server:
        yield server


def test_a_refused_connection_fails_at_once() -> None:
    import_pymilvus()  # which takes longer than all that follows
    refused = MilvusIndex(f"http://127.0.0.1:{free_port()}", timeout_s=5.0)
    refused.close()
    for call in calls(refused, model_version()):
        assert "does not answer" in fails_within(call, 3.0)  # a second where nothing else runs


@pytest.mark.parametrize(
    "uri", ["", "nonsense", "/a/path.db", "path.db", "localhost:19530", "http://", "http://host:99999", "ftp://host:1"]
)
def test_a_uri_that_is_no_server_address_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput, match="VIDREC_MILVUS_URI"):
        MilvusIndex(uri, timeout_s=1.0)


def test_a_silent_server_fails_within_the_timeout_for_all_threads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unanswered = MilvusIndex(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.5)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: fails_within(unanswered.ping, 1.5), range(8)))


def test_a_killed_server_fails_at_once_and_is_used_again_when_back(own_lite: Server) -> None:
    survives_a_kill(own_lite, back_within_s=15.0)


@pytest.mark.full
def test_a_killed_milvus_server_is_used_again_when_back(milvus: Server) -> None:
    survives_a_kill(milvus, back_within_s=120.0)  # its query node waits for the lease of the killed one to end


def survives_a_kill(server: Server, *, back_within_s: float) -> None:
    library = Library(MilvusIndex(server.uri, timeout_s=5.0), model_version())
    library.index.create(library.model)
    embeddings = vectors(1, 10)
    written = [library.put(video(embedding, category="a"), 4) for embedding in embeddings]
    library.index.delete(library.model, [written[0].video_id])
    server.kill()
    for call in calls(library.index, library.model):
        fails_within(call, 3.0)
    server.start()

    def searchable() -> bool:
        try:
            return len(library.ids(embeddings[1], category="a")) == 9
        except IndexUnavailable:
            return False

    wait_until(searchable, timeout_s=back_within_s)
    assert library.index.count(library.model) == (9, 36)
    assert library.ids(embeddings[1])[0] == written[1].video_id
    assert library.held(written[9].video_id) == [0, 1, 2, 3]
    assert library.put(video(embeddings[0]), 2).video_id in library.mine
    library.index.close()


def test_what_was_acknowledged_survives_a_kill_in_the_middle_of_a_burst(own_lite: Server) -> None:
    library = Library(MilvusIndex(own_lite.uri, timeout_s=5.0), model_version())
    library.index.create(library.model)
    acknowledged: list[VideoVector] = []

    def write() -> None:
        try:
            for i, embedding in enumerate(vectors(2, 5000)):
                acknowledged.append(library.put(video(embedding), 5))
                if i % 10 == 9:
                    library.index.flush(library.model)
        except IndexUnavailable:
            return

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) >= 25)
    own_lite.kill()
    writer.join()
    own_lite.start()
    ids = [v.video_id for v in acknowledged]
    assert sorted(library.index.videos(library.model, ids)) == sorted(ids)
    found = library.index.segments(library.model, dict.fromkeys(ids, 10))
    assert {len(of) for of in found.values()} == {5}
    assert len(found) == len(ids)
    library.index.close()


def test_a_lost_collection_is_said_and_can_be_made_again(lite: Server) -> None:
    adapter, model = MilvusIndex(lite.uri, timeout_s=5.0), model_version()
    with pytest.raises(IndexUnavailable, match=f"lacks a collection.*{model.version}"):
        adapter.search(model, vectors(0, 1), limit=1)
    adapter.create(model)
    new = video(vectors(0, 1)[0])
    adapter.upsert(model, new, segments(new.video_id, 1))
    expect(lambda: adapter.count(model), (1, 1))
    adapter.close()


def test_much_for_milvus_lite_is_warned_of_once(
    lite: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index, "LITE_COMFORT", 10)
    adapter, model = MilvusIndex(lite.uri, timeout_s=5.0), model_version()
    adapter.create(model)
    new = video(vectors(0, 1)[0])
    with caplog.at_level(logging.WARNING):
        adapter.upsert(model, new, segments(new.video_id, 8))
        adapter.flush(model)
        assert caplog.messages == []
        adapter.upsert(model, new, segments(new.video_id, 9))
        adapter.flush(model)
        adapter.flush(model)
    assert len(caplog.messages) == 1
    assert "10 vectors" in caplog.messages[0]
    assert "vidrec index move" in caplog.messages[0]
    adapter.close()


def test_milvus_lite_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    command = milvus_lite_command(tmp_path, 4321)
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_pandas_is_not_loaded_with_the_adapter_and_can_be_afterwards() -> None:
    code = """
import sys
from vidrec.adapters.milvus import MilvusIndex
assert "pymilvus" not in sys.modules
try:
    MilvusIndex("http://127.0.0.1:1", timeout_s=1.0).ping()
except Exception as error:
    assert type(error).__name__ == "IndexUnavailable", error
assert "pymilvus" in sys.modules
assert "pandas" not in sys.modules and "pyarrow" not in sys.modules
import pandas
assert pandas.DataFrame({"a": [1]}).shape == (1, 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
