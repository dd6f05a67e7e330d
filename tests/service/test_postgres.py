"""The API on a real PostgreSQL that goes away and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.postgres import Postgres, running_postgres
from tests.servers import wait_until
from tests.service import test_catalogue as suite
from tests.service.conftest import Start, System
from vidrec.adapters.sql import migrate
from vidrec.domain.models import InteractionType

OUT_S = 1.0
"""So long it is away while clients go on."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of these tests' own."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def system(start_system: Start, server: Postgres, tmp_path: Path) -> Iterator[System]:
    url = server.url(server.create())
    migrate(url)
    with start_system(tmp_path, database_url=url, families=("sea", "city")) as system:
        system.library.act("mina", system.library.families["sea"][0], InteractionType.LIKE)
        yield system


def requests(system: System) -> dict[str, httpx.Request]:
    """One of each kind; writes begin with `write`."""
    video = system.library.families["city"][0]
    event = {"user_id": "mina", "type": "view", "video_id": video}
    make = system.client.build_request
    return {
        "recommend": make("GET", "/recommend", params={"userid": "mina"}),
        "recommend to a stranger": make("GET", "/recommend", params={"userid": "nobody", "exclude": "external:city-1"}),
        "read video": make("GET", f"/videos/{video}"),
        "read similar": make("GET", f"/videos/{video}/similar"),
        "write event": make("POST", "/events", json=event),
        "write change": make("PATCH", f"/videos/{video}", json={"title": "x"}),
        "write upload": make("GET", "/presigned_for_upload/upload/videos", params={"filename": "a.webm"}),
    }


def test_while_postgres_is_away_reads_come_from_memory_and_writes_wait(system: System, server: Postgres) -> None:
    before = system.get("/recommend", userid="mina")
    assert (before["strategy"], before["degraded"]) == ("content", False)
    assert system.get("/readyz") == {"status": "ok"}
    answers: list[tuple[str, httpx.Response]] = []
    over = threading.Event()

    def ask() -> None:
        """What clients see all the time: before, while it goes, while it is away, while it comes."""
        while not over.is_set():
            for name, request in requests(system).items():
                answers.append((name, system.client.send(request)))
            over.wait(0.02)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(answers) > 20, timeout_s=30)
        server.server.stop()
        began = time.monotonic()
        away = {name: system.client.send(request) for name, request in requests(system).items()}
        ready = system.client.get("/readyz")
        took_s = time.monotonic() - began
        time.sleep(OUT_S)  # how long it is away, nothing is waited for
        server.server.start()
        wait_until(lambda: not system.get("/recommend", userid="mina")["degraded"], timeout_s=30)
    finally:
        over.set()
        for client in clients:
            client.join()

    for name in ("recommend", "recommend to a stranger"):
        assert away[name].status_code == 200, away[name].text
        assert away[name].json()["degraded"] is True
        assert away[name].json()["items"]
    for name in set(away) - {"recommend", "recommend to a stranger"}:
        assert away[name].status_code == 503, (name, away[name].text)
        assert int(away[name].headers["Retry-After"]) >= 1
    assert ready.status_code == 200
    assert ready.json()["status"].startswith("degraded: the SQL store does not answer")
    assert took_s < 5
    seen = {(name.split()[0], answer.status_code) for name, answer in answers}
    assert seen <= {("recommend", 200), ("read", 200), ("read", 503)} | {
        ("write", status) for status in (200, 202, 503)
    }, [answer.text for _, answer in answers if answer.status_code == 500]
    assert system.get("/readyz") == {"status": "ok"}
    again = {name: system.client.send(request).status_code for name, request in requests(system).items()}
    assert set(again.values()) == {200, 202}


def test_every_acknowledged_event_is_there_after_a_crash(system: System, server: Postgres) -> None:
    video = system.library.families["city"][1]
    acknowledged: list[str] = []

    def tell() -> None:
        for number in range(2000):
            event = {"user_id": "tom", "type": "view", "video_id": video, "event_id": f"e{number}"}
            answer = system.client.post("/events", json=event)
            if answer.status_code == 503:
                return
            assert answer.status_code == 202, answer.text
            acknowledged.append(event["event_id"])

    telling = threading.Thread(target=tell)
    telling.start()
    wait_until(lambda: len(acknowledged) > 20, timeout_s=30)
    server.server.kill()
    telling.join()
    server.server.start()
    again = [{"user_id": "tom", "type": "view", "video_id": video, "event_id": e} for e in acknowledged]
    wait_until(lambda: system.client.get("/readyz").json()["status"] == "ok", timeout_s=30)
    told = system.client.post("/events", json=again)
    assert told.status_code == 202
    assert told.json()["repeated"] == len(acknowledged)


test_nothing_tells_of_a_deleted_video = suite.test_right_after_the_answer_no_route_tells_of_the_video
test_nothing_tells_of_an_erased_user = suite.test_right_after_the_answer_no_route_tells_of_the_user
