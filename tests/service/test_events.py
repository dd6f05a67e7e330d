"""POST /events: what is taken, what is refused, and that a batch is all or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.service.conftest import System

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def told(system: System, user: str = "ann") -> int:
    with system.database.snapshot() as uow:
        cutoff: int = uow.interactions.cutoff(user)
        return cutoff


def event(**changes: Any) -> dict[str, Any]:
    return {"user_id": "ann", "external_id": "sea-1", "type": "like", **changes}


def test_one_event_or_an_array_answer_202_with_the_count(system: System) -> None:
    one = system.client.post("/events", json=event())
    assert (one.status_code, one.json()) == (202, {"accepted": 1, "repeated": 0, "dropped": 0})
    video_id = system.library.families["sea"][1]
    full = event(
        video_id=video_id,
        type="watch",
        event_id="e1",
        fraction=0.5,
        position_s=12.5,
        session_id="s1",
        recommendation_id=UNKNOWN,
        ts="2026-01-01T12:00:00+09:00",
    )
    del full["external_id"]
    assert system.post_events(full, event(type="impression"))["accepted"] == 2
    with system.database.snapshot() as uow:
        (row,) = [w for w in uow.interactions.history("ann") if w.video_id == video_id]
    assert row.last_at == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert row.position_s == 12.5


def test_a_thousand_are_taken_and_no_more(system: System) -> None:
    batch = [event(user_id=f"user {i % 50}", external_id=f"sea-{i % 8 + 1}") for i in range(1000)]
    assert system.post_events(*batch)["accepted"] == 1000
    response = system.client.post("/events", json=[*batch, event()])
    assert response.status_code == 422
    assert response.json()["field"] == "body"


def test_a_repeat_is_answered_202_again_and_counted_once(system: System) -> None:
    assert system.post_events(event(event_id="e1"))["repeated"] == 0
    again = system.post_events(event(event_id="e1"), event(event_id="e2"), event(event_id="e2"))
    assert again == {"accepted": 3, "repeated": 2, "dropped": 0}
    assert system.post_events(event(event_id="e1", user_id="bob"))["repeated"] == 0


def test_events_about_deleted_videos_are_accepted_and_dropped(system: System) -> None:
    video_id = system.library.families["sea"][0]
    assert system.client.delete(f"/videos/{video_id}").status_code == 202
    by_id = {"user_id": "ann", "video_id": video_id, "type": "like"}
    assert system.post_events(event(), by_id, event(external_id="sea-2")) == {
        "accepted": 3,
        "repeated": 0,
        "dropped": 2,
    }
    with system.database.snapshot() as uow:
        assert [w.video_id for w in uow.interactions.history("ann")] == [system.library.families["sea"][1]]


BAD: list[tuple[Any, str]] = [
    (event(fraction=1.5), "fraction"),
    (event(fraction=-0.1), "fraction"),
    (event(fraction="0.5"), "fraction"),
    (event(fraction=True), "fraction"),
    (event(fraction=float("nan")), "fraction"),
    (event(fraction=float("inf")), "fraction"),
    (event(fraction=10**400), "fraction"),
    (event(position_s=-1), "position_s"),
    (event(position_s=float("-inf")), "position_s"),
    (event(position_s=1e308), "position_s"),
    (event(type="love"), "type"),
    (event(type=1), "type"),
    (event(user_id=""), "user_id"),
    (event(user_id=5), "user_id"),
    (event(user_id=None), "user_id"),
    (event(user_id="a\0b"), "user_id"),
    (event(user_id="a\nb"), "user_id"),
    (event(user_id="a" * 257), "user_id"),
    (event(user_id="a" * 1_000_000), "user_id"),
    (event(external_id="sea-999"), "external_id"),
    (event(external_id="\x7f"), "external_id"),
    (event(video_id=UNKNOWN, external_id=None), "video_id"),
    (event(video_id="1", external_id=None), "video_id"),
    (event(video_id="' OR 1=1", external_id=None), "video_id"),
    (event(video_id=UNKNOWN), "body"),
    (event(external_id=None), "body"),
    (event(event_id=""), "event_id"),
    (event(event_id=7), "event_id"),
    (event(session_id=[]), "session_id"),
    (event(recommendation_id="x"), "recommendation_id"),
    (event(ts="yesterday"), "ts"),
    (event(ts="2026-01-01T00:00:00"), "ts"),
    (event(ts="0001-01-01T00:00:00+14:00"), "ts"),
    (event(ts="9999-12-31T23:59:59Z"), "ts"),
    (event(ts=1e300), "ts"),
    (event(ts=True), "ts"),
    (event(colour="red"), "colour"),
    (7, "body"),
    (None, "body"),
    ("text", "body"),
]


@pytest.mark.parametrize(("bad", "field"), BAD, ids=[f"{i}-{field}" for i, (_, field) in enumerate(BAD)])
def test_a_bad_event_is_named_by_index_and_field_and_nothing_is_kept(shared: System, bad: Any, field: str) -> None:
    before = told(shared)
    for body, index in ((bad, None), ([event(), bad], 1)):
        content = json.dumps(body)  # with NaN and Infinity, as Python writes them
        response = shared.client.post("/events", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 422, response.text
        problem = response.json()
        assert response.headers["Content-Type"] == "application/problem+json"
        assert problem["field"] == field
        assert problem.get("index") == index
    assert told(shared) == before


def test_an_event_from_the_future_is_refused(shared: System) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=2)
    assert shared.post_events(event(user_id="soon", ts=soon.isoformat()))["accepted"] == 1
    later = soon + timedelta(minutes=30)
    response = shared.client.post("/events", json=[event(ts=later.isoformat())])
    assert (response.status_code, response.json()["field"], response.json()["index"]) == (422, "ts", 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[{}",
        b'{"user_id": "a",}',
        b"\xff\xfe",
        b'{"user_id": "\xff"}',
        b'{"user_id": "\\ud800"}',
        b"[" * 100_000,
        b"nul",
    ],
)
def test_a_body_that_is_no_json_is_refused(shared: System, body: bytes) -> None:
    response = shared.client.post("/events", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert response.json()["detail"].startswith("body") or "body" in response.json()["detail"]


def test_other_content_types_are_refused(shared: System) -> None:
    response = shared.client.post("/events", data={"user_id": "ann"})
    assert response.status_code == 415
    assert "Content-Type" in response.json()["detail"]


def test_a_body_without_end_is_cut_off(shared: System) -> None:
    response = shared.client.post(
        "/events", content=iter([b" " * (1 << 20)] * 9), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413
