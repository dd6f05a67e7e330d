"""Three API and four worker processes over one PostgreSQL, one S3 server and one Milvus server, two encoders: each kind
is killed once under load, each store is away for a while, and nothing that was acknowledged is lost."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.clips import draw
from tests.replicas import Cluster, running_cluster
from tests.servers import Server, wait_until
from vidrec.adapters.sql import SqlDatabase
from vidrec.bootstrap import open_queue
from vidrec.domain.models import JobState
from vidrec.settings import load_settings

log = logging.getLogger(__name__)

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

SOURCES = ("testsrc2", "smptebars", "yuvtestsrc", "rgbtestsrc")
UPLOAD_EVERY_S, EVENT_EVERY_S, ASK_EVERY_S = 2.5, 0.2, 0.3
AWAY_S = 3.0
"""So long a store is away while clients go on."""
FAIR_S = 30.0
PATIENCE_S = 60.0


@dataclass
class Load:
    """Clients that go from one API to the next, and try again what was not answered, or answered by 503."""

    cluster: Cluster
    clips: list[bytes]
    phase: str = "all well"
    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By phase, kind of request, and status."""
    wrong: list[str] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    """Ids of the videos whose bytes the store acknowledged."""
    told: list[str] = field(default_factory=list)
    """Ids of the events that an API acknowledged."""
    videos: list[str] = field(default_factory=list)
    """What events are about."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._turn = itertools.count()
        self._numbers = itertools.count()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        work = [self._upload, self._upload, self._tell, self._ask, self._ask]
        threads = [threading.Thread(target=self._again_and_again, args=(one,), daemon=True) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in threads)

    def _again_and_again(self, work: Callable[[httpx.Client], float]) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._over.is_set():
                try:
                    pause_s = work(client)
                except Exception as error:  # shown by the test, which would not see a thread die
                    self.wrong.append(f"{type(error).__name__}: {error}")
                    return
                self._over.wait(pause_s)

    def request(self, client: httpx.Client, kind: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer of an API, whichever is next; None where none came before the end."""
        while True:
            api = self.cluster.apis[next(self._turn) % len(self.cluster.apis)]
            phase = self.phase
            try:
                answer = client.request(method, api.uri + path, **options)
            except httpx.TransportError:
                self._count(phase, kind, 0)
            else:
                self._count(phase, kind, answer.status_code)
                if answer.status_code != 503:
                    if not answer.is_success:
                        self.wrong.append(f"{phase}: {kind}: {answer.status_code} {answer.text[:300]}")
                    return answer
                if int(answer.headers.get("Retry-After", 0)) < 1:
                    self.wrong.append(f"{phase}: {kind}: 503 without Retry-After: {answer.text[:300]}")
            if self._over.wait(0.1):
                return None

    def _count(self, phase: str, kind: str, status: int) -> None:
        with self._lock:
            self.statuses[phase, kind, status] += 1

    def _upload(self, client: httpx.Client) -> float:
        number = next(self._numbers)
        path = "/presigned_for_upload/upload/videos"
        signed = self.request(client, "upload", "GET", path, params={"filename": f"{number}.mp4"})
        if signed is None or not signed.is_success:
            return UPLOAD_EVERY_S
        made = signed.json()
        while not self._over.is_set():
            try:
                answer = client.put(made["PresignedURL"], content=self.file(number), headers=made.get("headers", {}))
            except httpx.TransportError:
                self._over.wait(0.2)
                continue
            if answer.is_success:
                self.uploaded.append(made["video_id"])
                break
            if answer.status_code < 500:
                self.wrong.append(f"{self.phase}: the object store said {answer.status_code} {answer.text[:300]}")
                break
            self._over.wait(0.2)
        return UPLOAD_EVERY_S

    def file(self, number: int) -> bytes:
        """A clip whose bytes no other has: MP4 ends with a box that says how often it was asked for."""
        note = f"{number:08d}".encode()
        return self.clips[number % len(self.clips)] + (8 + len(note)).to_bytes(4, "big") + b"free" + note

    def _tell(self, client: httpx.Client) -> float:
        number = next(self._numbers)
        event = {
            "user_id": f"u{number % 5}",
            "type": "view",
            "video_id": self.videos[number % len(self.videos)],
            "event_id": f"e{number}",
        }
        answer = self.request(client, "event", "POST", "/events", json=event)
        if answer is not None and answer.status_code == 202:
            self.told.append(event["event_id"])
        return EVENT_EVERY_S

    def _ask(self, client: httpx.Client) -> float:
        user = f"u{next(self._turn) % 5}"
        self.request(client, "recommend", "GET", "/recommend", params={"userid": user})
        return ASK_EVERY_S


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("clips")
    return [draw(folder / f"{n}.mp4", seconds=3, fps=4, gop=4, source=s).read_bytes() for n, s in enumerate(SOURCES)]


def statuses(cluster: Cluster) -> dict[str, str]:
    """Id of every video -> its status, as SQL has it now."""
    with psycopg.connect(cluster.database_url) as connection:
        return dict(connection.execute("select id, status from videos").fetchall())


def wait_for_work(cluster: Cluster, load: Load, *, uploads: int = 2, indexed: int = 2) -> None:
    """Until that many more are uploaded and indexed: the load was on, and what is left does it."""
    before, done = len(load.uploaded), list(statuses(cluster).values()).count("indexed")
    wait_until(
        lambda: (
            len(load.uploaded) >= before + uploads
            and list(statuses(cluster).values()).count("indexed") >= done + indexed
        ),
        timeout_s=PATIENCE_S,
        every_s=0.2,
    )


def recommended(api: Server) -> dict[str, Any]:
    answer = httpx.get(f"{api.uri}/recommend", params={"userid": "u1"}, timeout=20)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def wait_until_well(cluster: Cluster) -> None:
    """Until every API answers from all stores."""
    for api in cluster.apis:
        wait_until(lambda api=api: not recommended(api)["degraded"], timeout_s=PATIENCE_S, every_s=0.2)  # type: ignore[misc]


def wait_for_a_fair_share(cluster: Cluster, new: Server) -> None:
    """Until the new encoder has at least a third of what all encode."""
    deadline = time.monotonic() + FAIR_S
    while True:
        before = [cluster.frames_encoded(encoder) for encoder in cluster.encoders]

        def encoded(before: list[float] = before) -> dict[int, float]:
            now = [cluster.frames_encoded(encoder) for encoder in cluster.encoders]
            return {e.port: n - b for e, n, b in zip(cluster.encoders, now, before, strict=True)}

        wait_until(lambda: sum(encoded().values()) >= 24, timeout_s=PATIENCE_S, every_s=0.2)
        shares = encoded()
        if shares[new.port] >= sum(shares.values()) / 3:
            return
        assert time.monotonic() < deadline, f"no fair share within {FAIR_S:g} s: {shares}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path, apis=3, workers=4, encoders=2) as cluster:
        yield cluster


def test_killing_each_kind_under_load_loses_and_doubles_nothing(cluster: Cluster, clips: list[bytes]) -> None:
    load = Load(cluster, clips)
    with httpx.Client(timeout=20) as client:
        for _ in range(4):
            load._upload(client)
    wait_until(lambda: list(statuses(cluster).values()).count("indexed") == 4, timeout_s=PATIENCE_S, every_s=0.2)
    load.videos = list(load.uploaded)
    wait_until_well(cluster)

    with load.going_on():
        for step in (kill_processes, end_processes, milvus_goes_away, postgres_goes_away, s3_goes_away):
            began = time.monotonic()
            step(cluster, load)
            log.info("%s: %.0f s", step.__name__, time.monotonic() - began)
        wait_for_work(cluster, load)
    log.info("%d uploads, %d events, answers: %s", len(load.uploaded), len(load.told), dict(load.statuses))

    sweep = cluster.command("sweep", "--json")
    swept, said = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 0, said
    assert set(json.loads(swept)) >= {"arrived", "withdrawn", "leftovers"}
    check_answers(load)
    check_that_all_is_there_once(cluster, load)


def kill_processes(cluster: Cluster, load: Load) -> None:
    """kill -9 of an API, a worker and an encoder; another one takes the place of each."""
    load.phase = "an API was killed"
    cluster.apis[0].kill()
    wait_for_work(cluster, load, indexed=1)
    cluster.apis[0] = replaced(cluster.api())
    load.phase = "a worker was killed"
    cluster.workers[0].kill()
    wait_for_work(cluster, load, indexed=1)
    cluster.workers[0] = replaced(cluster.worker())
    load.phase = "an encoder was killed"
    cluster.encoders[0].kill()
    wait_for_work(cluster, load)
    cluster.encoders[0] = new = replaced(cluster.encoder(cluster.encoder_ports[0]))
    wait_for_a_fair_share(cluster, new)
    load.phase = "all well"


def end_processes(cluster: Cluster, load: Load) -> None:
    """SIGTERM, as at a rollout: they end what they began and say so by their exit code."""
    load.phase = "some were told to end"
    ending = [cluster.workers[1], cluster.apis[1]]
    cluster.apis[1] = replaced(cluster.api())  # no more requests come
    assert [server.terminate(PATIENCE_S) for server in ending] == [0, 0]
    cluster.workers[1] = replaced(cluster.worker())
    load.phase = "all well"


def replaced(server: Server) -> Server:
    server.start()
    return server


def milvus_goes_away(cluster: Cluster, load: Load) -> None:
    load.phase = "Milvus is away"
    cluster.milvus.stop()
    shown = [recommended(api) for api in cluster.apis]
    time.sleep(AWAY_S)  # how long it is away; nothing is waited for
    shown += [recommended(api) for api in cluster.apis]
    assert all(one["degraded"] and one["items"] for one in shown), shown
    told = len(load.told)
    wait_until(lambda: len(load.told) > told, timeout_s=PATIENCE_S)  # events need no vectors
    cluster.milvus.start()
    wait_until_well(cluster)
    load.phase = "all well"
    wait_for_work(cluster, load)


def postgres_goes_away(cluster: Cluster, load: Load) -> None:
    load.phase = "SQL is away"
    cluster.postgres.server.stop()
    event = {"user_id": "u1", "type": "view", "video_id": load.videos[0]}
    for api in cluster.apis:
        shown = recommended(api)
        assert shown["degraded"], shown
        assert shown["items"], shown
        refused = [
            httpx.post(f"{api.uri}/events", json=event, timeout=20),
            httpx.get(f"{api.uri}/presigned_for_upload/upload/videos", params={"filename": "a.mp4"}, timeout=20),
        ]
        assert [answer.status_code for answer in refused] == [503, 503]
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    time.sleep(AWAY_S)  # how long it is away; nothing is waited for
    cluster.postgres.server.start()
    wait_until_well(cluster)
    load.phase = "all well"
    wait_for_work(cluster, load)


def s3_goes_away(cluster: Cluster, load: Load) -> None:
    load.phase = "S3 is away"
    cluster.s3.server.stop()
    assert not any(recommended(api)["degraded"] for api in cluster.apis)
    time.sleep(AWAY_S)  # how long it is away; nothing is waited for
    cluster.s3.server.start()
    load.phase = "all well"


def check_answers(load: Load) -> None:
    """No request was answered by anything but success, and by 503 only while something was gone that it needs."""
    assert not load.wrong, load.wrong[:5]
    seen = {status for _, _, status in load.statuses}
    assert seen <= {0, 200, 202, 503}, load.statuses
    unanswered = {phase for phase, _, status in load.statuses if status == 0}
    assert unanswered <= {"an API was killed", "some were told to end", "all well"}, load.statuses
    refused = {(phase, kind) for phase, kind, status in load.statuses if status == 503}
    assert not {kind for _, kind in refused} & {"recommend"}, load.statuses


def check_that_all_is_there_once(cluster: Cluster, load: Load) -> None:
    """Every acknowledged upload is indexed, in SQL and Milvus, once; every acknowledged event is there once."""

    def missing() -> set[str]:
        now = statuses(cluster)
        return {video_id for video_id in load.uploaded if now.get(video_id) != "indexed"}

    try:
        wait_until(lambda: not missing(), timeout_s=PATIENCE_S, every_s=0.5)
    except TimeoutError:
        now = statuses(cluster)
        left = {video_id: now.get(video_id, "gone") for video_id in missing()}
        raise AssertionError(f"acknowledged and not indexed: {left}\n{cluster.said('worker-*.log')}") from None
    assert len(set(load.uploaded)) == len(load.uploaded)
    with closing(SqlDatabase(cluster.database_url)) as database:
        with database.snapshot() as uow:
            videos = uow.catalogue.get(uow.catalogue.indexed_ids())
        queue = open_queue(load_settings(database_url=cluster.database_url), database)
        wait_until(lambda: not queue.counts().get(JobState.RUNNING), timeout_s=PATIENCE_S, every_s=0.2)
        states = queue.counts()
    assert set(videos) >= set(load.uploaded)
    assert set(states) <= {JobState.DONE}, states
    segments = {video.id: video.segment_count for video in videos.values()}
    with closing(cluster.index()) as index:
        held = index.videos(cluster.model, list(videos), fresh=True)
        assert set(held) == set(videos)
        assert {v: len(s) for v, s in index.segments(cluster.model, segments).items()} == segments
        index.flush(cluster.model)
        assert index.count(cluster.model) == (len(videos), sum(segments.values()))
    with psycopg.connect(cluster.database_url) as connection:
        found = connection.execute("select event_id, count(*) from interactions group by event_id").fetchall()
    events: dict[str, int] = dict(found)
    assert set(load.told) <= set(events), "an acknowledged event is gone"
    assert set(events.values()) == {1}
    assert len(load.uploaded) > 20, "there was little load"
    assert len(load.told) > 50, "there was little load"
