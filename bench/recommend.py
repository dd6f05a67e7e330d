"""`python -m bench.recommend`: what `/recommend` costs beside the one search that it makes, at 10,000 videos on Milvus
Lite, and how many of it a second beside a trivial route of the same server."""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from sqlalchemy import insert

from bench.report import table, verdict, write
from tests.servers import Server, free_port, milvus_lite, running
from vidrec.adapters.milvus import MilvusIndex
from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sql.schema import videos
from vidrec.application.profiles import UserProfiles
from vidrec.domain.embedding import normalise
from vidrec.domain.models import (
    Interaction,
    InteractionType,
    MediaInfo,
    ModelVersion,
    VideoStatus,
    new_id,
    segment_id,
    utc_now,
)

VIDEOS = 10_000
SEGMENTS = 4
"""Of each video: a minute or so."""
DIMENSION = 512
CLUSTERS = 100
USERS = 60
LIKED = 30
"""Videos in each user's history, of one to five clusters."""
ROUNDS = 4
"""So often each user asks again."""
N = 20
PER_INTEREST = 100
CLIENTS = 8
SECONDS = 5.0
SETTLE_S = 3.0
METHOD = f"""{USERS} users who watched
{LIKED} videos of one to five kinds; one request at a time, in turns with the search of the same user. A first request
reads the segments of its page from Milvus for the reasons, later ones find them in the API's memory."""
MODEL = ModelVersion(version="mbench0000000", name="bench", dimension=DIMENSION, trained=True)
MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=1280, height=720, duration_s=60.0)


@dataclass(frozen=True)
class Library:
    """What was written to the stores."""

    ids: Sequence[str]
    cluster: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Times:
    """Seconds, taken in turns."""

    bare: Sequence[float]
    whole: Sequence[float]
    trivial: Sequence[float]

    @classmethod
    def taken(cls, http: httpx.Client, users: Sequence[str], searches: Sequence[Callable[[], object]]) -> Times:
        times = [
            (_timed(search), _timed(partial(_ask, http, user)), _timed(partial(http.get, "/livez")))
            for user, search in zip(users, searches, strict=True)
        ]
        return cls(*zip(*times, strict=True))

    @property
    def ratio(self) -> float:
        return statistics.median(self.whole) / statistics.median(self.bare)


@dataclass(frozen=True)
class Measured:
    """What `measure` found."""

    first: Times
    later: Times
    rates: Sequence[float]
    resident: float


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = measure(milvus_lite(folder / "vectors"), folder, VIDEOS)
    write(
        "recommend",
        f"""## /recommend at {VIDEOS:,} videos

{VIDEOS:,} videos of {SEGMENTS} segments, {DIMENSION} dimensions, on Milvus Lite, flushed; {METHOD}

{results(found, 2.0, 1.3)}""",
    )


def measure(milvus: Server, folder: Path, count: int) -> Measured:
    """Fills SQLite and this Milvus with so many videos, and asks the API for recommendations from them."""
    with running(milvus):
        url = f"sqlite:///{folder / 'vidrec.db'}"
        migrate(url)
        database = SqlDatabase(url)
        index = MilvusIndex(milvus.uri, timeout_s=30.0)
        library = _fill(database, index, milvus.uri, count)
        _watch(database, index, library)
        with running(_api(folder, milvus.uri)) as api:
            found = _measure(api.uri, milvus.uri, database)
        index.close()
        database.close()
    return found


# ------------------------------------------------------------------------------------------ what is there


def _fill(database: SqlDatabase, index: MilvusIndex, uri: str, count: int) -> Library:
    rng = np.random.default_rng(7)
    centres = normalise(rng.normal(size=(CLUSTERS, DIMENSION)))
    cluster = rng.integers(CLUSTERS, size=count)
    ids = sorted(new_id() for _ in range(count))
    # Within a cluster about as alike as clips of one kind are to a trained ResNet: cosine 0.6.
    vectors = normalise(centres[cluster] + 0.8 * normalise(rng.normal(size=(count, DIMENSION))))
    with database.transaction() as uow:
        uow.models.register(MODEL)
        uow.models.activate(MODEL.version)
        for start in range(0, count, 10_000):
            part = range(start, min(start + 10_000, count))
            uow.connection.execute(insert(videos), [_row(i, ids[i], int(cluster[i])) for i in part])
    index.create(MODEL)
    client = import_pymilvus().MilvusClient(uri)
    for start in range(0, count, 500):
        part = slice(start, start + 500)
        rows = [
            {"id": v, "category": f"c{c}", "duration_s": 60.0, "embedding": e}
            for v, c, e in zip(ids[part], cluster[part], vectors[part], strict=True)
        ]
        client.upsert(MODEL.videos_collection, rows)
        noise = normalise(rng.normal(size=(len(rows), SEGMENTS, DIMENSION)))
        segments = normalise(vectors[part, np.newaxis] + 0.4 * noise)
        client.upsert(
            MODEL.segments_collection,
            [
                {
                    "id": segment_id(v, number),
                    "video_id": v,
                    "number": number,
                    "start_s": 15.0 * number,
                    "end_s": 15.0 * (number + 1),
                    "embedding": segments[i, number],
                }
                for i, v in enumerate(ids[part])
                for number in range(SEGMENTS)
            ],
        )
    _settle(client)
    client.close()
    return Library(ids, cluster)


def _settle(client: Any) -> None:
    """Flushes, and waits until a Milvus server has built its indexes (Lite does it in the flush)."""
    for name in (MODEL.segments_collection, MODEL.videos_collection):
        client.flush(name, timeout=600)
        while int(client.describe_index(name, client.list_indexes(name)[0]).get("pending_index_rows") or 0):
            time.sleep(1)
    time.sleep(SETTLE_S)


def _row(number: int, video_id: str, cluster: int) -> dict[str, object]:
    now = utc_now()
    return {
        "id": video_id,
        "external_id": f"clip-{number}",
        "title": f"Clip {number}",
        "title_folded": f"clip {number}",
        "category": f"c{cluster}",
        "tags": [],
        "location": f"file:///clips/{number}.webm",
        "filename": f"{number}.webm",
        "size_bytes": 1_000_000,
        "content_sha256": f"{number:064x}",
        "status": VideoStatus.INDEXED,
        "media": {
            "container": MEDIA.container,
            "video_codec": MEDIA.video_codec,
            "audio_codec": MEDIA.audio_codec,
            "width": MEDIA.width,
            "height": MEDIA.height,
            "duration_s": MEDIA.duration_s,
        },
        "segment_count": SEGMENTS,
        "available": True,
        "created_at": now,
        "indexed_at": now,
        "indexed_model": MODEL.version,
    }


def _watch(database: SqlDatabase, index: MilvusIndex, library: Library) -> None:
    rng = np.random.default_rng(8)
    now = utc_now()
    told = []
    for user in range(USERS):
        liked_clusters = rng.choice(CLUSTERS, size=1 + user % 5, replace=False)
        near = np.flatnonzero(np.isin(library.cluster, liked_clusters))
        for i, video in enumerate(rng.choice(near, size=LIKED, replace=False)):
            told.append(
                Interaction(
                    user_id=f"user-{user}",
                    video_id=library.ids[video],
                    type=InteractionType.WATCH,
                    fraction=float(rng.uniform(0.4, 1.0)),
                    ts=now - timedelta(hours=i),
                    event_id=f"{user}-{i}",
                )
            )
    with database.transaction() as uow:
        uow.interactions.append(told)
    profiles = UserProfiles(database, index)
    for user in range(USERS):
        profiles.refresh(f"user-{user}")


def _api(folder: Path, milvus_uri: str) -> Server:
    port = free_port()

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    return Server(
        [
            sys.executable,
            "-c",
            "from vidrec.cli import main; main()",
            "api",
            "--port",
            str(port),
            "--data",
            str(folder),
        ],
        port,
        folder / "api.log",
        ready=ready,
        env={"VIDREC_MILVUS_URI": milvus_uri, "VIDREC_CANDIDATES_PER_INTEREST": str(PER_INTEREST)},
    )


# ---------------------------------------------------------------------------------------- what is measured


def _measure(api: str, milvus: str, database: SqlDatabase) -> Measured:
    client = import_pymilvus().MilvusClient(milvus)
    with httpx.Client(base_url=api, timeout=30) as http:
        users = [f"user-{i}" for i in range(USERS)]
        searches = [_search_of(client, database, user) for user in users]
        http.get("/livez")
        first = Times.taken(http, users, searches)
        later = Times.taken(http, users * ROUNDS, searches * ROUNDS)
    client.close()
    rates = [_rate(api, path) for path in ("/recommend", "/livez")]
    return Measured(first, later, rates, _resident(api))


def _search_of(client: object, database: SqlDatabase, user: str) -> Callable[[], object]:
    """The very search that the user's request makes; the profile is there already."""
    with database.snapshot() as uow:
        profile = uow.profiles.get(user, MODEL.version)
        seen = uow.interactions.seen(user)
    assert profile is not None
    limit = PER_INTEREST + len(seen)
    queries = np.stack([interest.embedding for interest in profile.interests])
    return lambda: client.search(  # type: ignore[attr-defined]
        MODEL.videos_collection,
        queries,
        anns_field="embedding",
        limit=limit,
        output_fields=["embedding"],
        search_params={"params": {"ef": max(2 * limit, 64)}},
    )


def _ask(http: httpx.Client, user: str) -> None:
    answer = http.get("/recommend", params={"userid": user, "n": N}).raise_for_status().json()
    if answer["strategy"] != "content" or answer["degraded"] or len(answer["items"]) != N:
        raise RuntimeError(f"not what is to be measured: {answer['strategy']}, {len(answer['items'])} items")


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _rate(api: str, path: str) -> float:
    """Answers a second to CLIENTS clients that ask without a pause."""
    counts = [0] * CLIENTS
    end = time.monotonic() + SECONDS

    def ask(number: int) -> None:
        with httpx.Client(base_url=api, timeout=30) as http:
            while time.monotonic() < end:
                user = f"user-{(number * 7 + counts[number]) % USERS}"
                parameters = {} if path == "/livez" else {"userid": user, "n": N}
                http.get(path, params=parameters).raise_for_status()
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _resident(api: str) -> float:
    """Of the API's process, in MiB."""
    text = httpx.get(f"{api}/metrics").text
    value = next(line.split()[1] for line in text.splitlines() if line.startswith("process_resident_memory_bytes "))
    return float(value) / 2**20


def results(found: Measured, accept: float, aim: float) -> str:
    """Table and verdicts."""
    rows = [
        (name, *(f"{1e3 * value:.1f}" for times in pair for value in (statistics.median(times), _p95(times))))
        for name, pair in (
            ("the one search, bare pymilvus", (found.first.bare, found.later.bare)),
            (f"`/recommend?n={N}` over HTTP", (found.first.whole, found.later.whole)),
            ("`/livez` over HTTP", (found.first.trivial, found.later.trivial)),
        )
    ]
    head = ("", "first request of a user: p50, ms", "p95", "later ones: p50, ms", "p95")
    return f"""{table(head, rows)}

p50 of `/recommend` against that of the search it makes: first
{verdict(found.first.ratio, accept, aim, lower_is_better=True)}, later
{verdict(found.later.ratio, accept, aim, lower_is_better=True)}.

{CLIENTS} clients without a pause: {found.rates[0]:.0f} `/recommend` a second, {found.rates[1]:.0f} of the trivial
route. Resident memory of the API afterwards: {found.resident:.0f} MiB."""


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
