"""What a Milvus server asks of its clients: user and password, TLS, a database, a version, patience.

The server of the `milvus` package (2.3.5) can be started with each of them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import self_signed
from tests.contract.test_index import expect, model_version, segments, vectors, video
from tests.servers import Server, ServerFailed, free_port, milvus_server
from vidrec.adapters.milvus import Access, Hnsw, MilvusIndex, upkeep
from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.application.deadline import waiting_at_most
from vidrec.domain.errors import IndexUnavailable, InvalidInput

ROOT = "root:Milvus"


# ------------------------------------------------------------------------------------- user, TLS, database


@dataclass
class Guarded:
    """A server that asks for a user and speaks TLS."""

    server: Server
    certificate: Path

    def index(self, token: str = ROOT, database: str = "", certificate: Path | None = None) -> MilvusIndex:
        access = Access(self.server.uri, token, database, certificate or self.certificate)
        return MilvusIndex(access, timeout_s=10.0)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = self_signed(folder, "IP:127.0.0.1")
    server = milvus_server(folder / "data", token=ROOT, certificate=(certificate, key))
    try:
        server.start()
    except ServerFailed as error:
        pytest.skip(f"milvus 2.3.5 does not start here: {error}")
    yield Guarded(server, certificate)
    server.kill()


@pytest.mark.full
def test_user_tls_and_a_database_that_is_made(guarded: Guarded) -> None:
    model = model_version()
    embedding = vectors(1, 1)[0]
    with closing(guarded.index(database="shop")) as index, closing(guarded.index()) as elsewhere:
        index.create(model)
        new = video(embedding)
        index.upsert(model, new, segments(new.video_id, 2))
        expect(lambda: [h.video_id for h in index.search(model, embedding[None], limit=5)[0]], [new.video_id])
        assert sorted(index.videos(model, [new.video_id], fresh=True)) == [new.video_id]
        elsewhere.delete(model, [new.video_id])  # another database: there is nothing
        assert index.count(model) == (1, 2)
    with closing(guarded.index(database="shop")) as again:  # it is there already
        assert again.count(model) == (1, 2)
        again.drop(model)


@pytest.mark.full
@pytest.mark.parametrize("token", ["root:wrong", "nobody:Milvus", ""])
def test_who_is_not_let_in_is_told_so(guarded: Guarded, token: str) -> None:
    with closing(guarded.index(token)) as index, pytest.raises(IndexUnavailable, match="refuses the user or the passw"):
        index.ping()


@pytest.mark.full
def test_a_certificate_that_nobody_trusts_is_told(guarded: Guarded, tmp_path: Path) -> None:
    other, _ = self_signed(tmp_path, "IP:127.0.0.1")
    with closing(guarded.index(certificate=other)) as index, pytest.raises(IndexUnavailable, match=r"(?i)certificate"):
        index.ping()


@pytest.mark.full
def test_a_user_who_may_not_make_a_database_is_told_so(guarded: Guarded) -> None:
    pymilvus = import_pymilvus()
    client = pymilvus.MilvusClient(guarded.server.uri, token=ROOT, server_pem_path=str(guarded.certificate))
    client.create_user("viewer", "secret-1")
    client.close()
    with (
        closing(guarded.index("viewer:secret-1", database="theirs")) as index,
        pytest.raises(IndexUnavailable, match="has no database 'theirs' and does not let this user make it"),
    ):
        index.ping()
    with (
        closing(guarded.index("viewer:secret-1")) as index,
        pytest.raises(IndexUnavailable, match="does not let this user do that"),
    ):
        index.search(model_version(), vectors(1, 1), limit=1)


@pytest.mark.parametrize(
    ("access", "told"),
    [
        (Access("https://milvus", certificate=Path("missing.pem")), "there is no file missing.pem"),
        (Access("http://milvus", certificate=Path(__file__)), "must begin with https"),
    ],
)
def test_access_that_cannot_be_is_refused(access: Access, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        MilvusIndex(access, timeout_s=1.0)


# ------------------------------------------------------------------------------------------------- upkeep


@pytest.mark.full
def test_hnsw_parameters_reach_the_server_and_segments_have_no_graph(milvus: Server) -> None:
    model = model_version()
    client = import_pymilvus().MilvusClient(milvus.uri)
    with closing(MilvusIndex(milvus.uri, timeout_s=10.0, hnsw=Hnsw(m=8, ef_construction=64, ef=32))) as index:
        index.create(model)
        videos = client.describe_index(model.videos_collection, "embedding")
        assert (videos["index_type"], videos["M"], videos["efConstruction"]) == ("HNSW", "8", "64")
        assert client.describe_index(model.segments_collection, "embedding")["index_type"] == "FLAT"
        index.drop(model)
    client.close()


@pytest.mark.full
def test_flush_release_and_compaction_where_a_server_needs_them(
    milvus: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "BULK_ROWS", 10)
    monkeypatch.setattr(upkeep, "MANY_DELETED", 10)
    steps: list[str] = []

    @contextmanager
    def observe(step: str, /) -> Iterator[None]:
        steps.append(step)
        yield

    model = model_version()
    with closing(MilvusIndex(milvus.uri, timeout_s=10.0, observe=observe)) as index:
        index.create(model)
        new = video(vectors(1, 1)[0])
        index.upsert(model, new, segments(new.video_id, 5))
        index.flush(model)
        assert "flush" not in steps
        index.upsert(model, new, segments(new.video_id, 12))
        index.flush(model)
        assert steps.count("flush") == 1  # the segments; there is one video
        index.release(model)
        assert len(index.segments(model, {new.video_id: 20}, fresh=True)[new.video_id]) == 12  # loaded again
        index.delete(model, [new.video_id])
        assert steps.count("compact") == 1
        assert index.videos(model, [new.video_id], fresh=True) == {}
        assert index.segments(model, {new.video_id: 20}, fresh=True) == {}
        index.drop(model)
        index.release(model)  # nothing is there


# ------------------------------------------------------------------------------ hiccups, outages, old ones


@dataclass
class Between:
    """A gRPC server that passes everything on to a real one, except what it is told to spoil."""

    uri: str
    fail: dict[str, int] = field(default_factory=dict)
    """Method -> so many calls that are answered UNAVAILABLE."""
    version: str = ""
    """What the server says it is, where this is not empty."""
    delay_s: float = 0.0
    calls: list[str] = field(default_factory=list)


@pytest.fixture
def between(lite: Server) -> Iterator[Between]:
    import grpc

    proxy = Between("")
    onwards = grpc.insecure_channel(f"127.0.0.1:{lite.port}")
    lock = threading.Lock()

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            method = details.method
            call = onwards.unary_unary(method)

            def handle(request: bytes, context: Any) -> bytes:
                name = method.rpartition("/")[2]
                with lock:
                    proxy.calls.append(name)
                    spoil = proxy.fail.get(name, 0)
                    proxy.fail[name] = spoil - 1
                time.sleep(proxy.delay_s)
                if spoil > 0:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "moving house")
                if name == "GetVersion" and proxy.version:
                    from pymilvus.grpc_gen import milvus_pb2

                    return milvus_pb2.GetVersionResponse(version=proxy.version).SerializeToString()
                try:
                    return bytes(call(request, timeout=10))
                except grpc.RpcError as error:
                    context.abort(error.code(), error.details())
                    raise AssertionError from error

            return grpc.unary_unary_rpc_method_handler(handle)

    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    proxy.uri = f"http://127.0.0.1:{port}"
    yield proxy
    server.stop(0).wait()
    onwards.close()


@pytest.fixture
def index(between: Between) -> Iterator[MilvusIndex]:
    with closing(MilvusIndex(between.uri, timeout_s=5.0)) as index:
        yield index


def test_a_hiccup_is_not_seen_by_reads_nor_by_writes(between: Between, index: MilvusIndex) -> None:
    model, embedding = model_version(), vectors(1, 1)[0]
    index.create(model)
    between.fail |= {"Upsert": 1, "Search": 1, "Query": 1, "Delete": 1}
    new = video(embedding)
    index.upsert(model, new, segments(new.video_id, 3))
    assert [hit.video_id for hit in index.search(model, embedding[None], limit=5)[0]] == [new.video_id]
    index.delete(model, [new.video_id])
    assert index.count(model) == (0, 0)
    index.drop(model)
    assert between.calls.count("Search") == 2


def test_retries_end_with_the_deadline_of_the_request(between: Between, index: MilvusIndex) -> None:
    model = model_version()
    index.create(model)
    between.fail["Search"] = 10**6
    started = time.monotonic()
    with waiting_at_most(0.1), pytest.raises(IndexUnavailable, match="moving house"):
        index.search(model, vectors(1, 1), limit=1)
    assert time.monotonic() - started < 0.6
    index.drop(model)


def test_a_silent_server_holds_one_thread_and_no_more(between: Between) -> None:
    with closing(MilvusIndex(between.uri, timeout_s=0.5)) as index:
        index.ping()
        between.delay_s = 3.0
        with pytest.raises(IndexUnavailable):
            index.ping()
        asked = between.calls.count("GetVersion")
        start = threading.Barrier(8)

        def ask(_: int) -> bool:
            start.wait()
            return succeeds(index.ping)

        with futures.ThreadPoolExecutor(8) as pool:
            assert not any(pool.map(ask, range(8)))
        assert between.calls.count("GetVersion") - asked < 4  # the others failed without asking
        between.delay_s = 0.0
        expect(lambda: succeeds(index.ping), True)


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except IndexUnavailable:
        return False
    return True


@pytest.mark.parametrize("version", ["v2.3.4", "2.2.16", "v1.1.1-dev"])
def test_a_server_that_is_too_old_is_refused_in_one_sentence(
    between: Between, index: MilvusIndex, version: str
) -> None:
    between.version = version
    with pytest.raises(IndexUnavailable, match=rf"is Milvus {version}, which is too old: 2\.3\.5 or later works"):
        index.ping()


@pytest.mark.parametrize("version", ["v2.3.5", "2.6.1", "v3.0.0-beta", "master-20260101-abc"])
def test_other_servers_are_taken(between: Between, index: MilvusIndex, version: str) -> None:
    between.version = version
    index.ping()


def test_settings_of_user_and_token_exclude_each_other() -> None:
    code = (
        "import sys; from vidrec.cli import main; main(['index', 'move', '--to', 'http://127.0.0.1:%d', *sys.argv[1:]])"
    )
    for arguments, told in (
        (["--to-user", "u"], "set both"),
        (["--to-token", "t", "--to-user", "u", "--to-password", "p"], "set one of them"),
    ):
        command = [sys.executable, "-c", code % free_port(), "--from", f"http://127.0.0.1:{free_port()}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
