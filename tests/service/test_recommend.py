"""GET /recommend and what hangs on it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.library import MODEL, SEGMENTS
from tests.service.conftest import Start, System
from vidrec.api import schemas
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch, Overloaded
from vidrec.domain.models import InteractionType


def family(item: dict[str, Any]) -> str:
    name: str = item["external_id"].partition("-")[0]
    return name


def test_the_answer_has_exactly_the_shape_that_clients_rely_on(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    answer = system.get("/recommend", userid="ann", n=3)
    schemas.RecommendationOut.model_validate(answer)
    assert list(answer) == [
        "recommendation_id",
        "userid",
        "strategy",
        "degraded",
        "model",
        "notice",
        "items",
        "next_cursor",
    ]
    assert (answer["userid"], answer["strategy"], answer["degraded"]) == ("ann", "content", False)
    assert answer["model"] == {"version": MODEL.version, "name": "test", "trained": False}
    assert "untrained" in answer["notice"]
    assert "vidrec model fetch resnet50 --int8" in answer["notice"]
    assert len(answer["items"]) == 3
    for item in answer["items"]:
        members = ["id", "external_id", "title", "duration_s", "segment_count", "score", "playable", "why", "links"]
        assert list(item) == members
        assert item["duration_s"] > 0
        assert item["segment_count"] == SEGMENTS
        assert family(item) == "sea"
        assert item["why"]["type"] == "similar"
        assert item["why"]["watched"]["external_id"] == "sea-1"
        assert -1 <= item["why"]["similarity"] <= 1
        for moment in (item["why"]["moment"], item["why"]["watched"]["moment"]):
            assert 0 <= moment["start_s"] < moment["end_s"] <= 10 * SEGMENTS
        assert item["why"]["moment"]["picture"].startswith(f"/videos/{item['id']}/segments/")
        for link in item["links"].values():
            assert link.startswith(f"/videos/{item['id']}")


def test_a_user_never_seen_gets_popular_and_fresh_videos_marked_as_such(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "city-2", "type": "like"})
    system.services.spotlight.refresh()
    answer = system.get("/recommend", userid="nobody", n=4)
    schemas.RecommendationOut.model_validate(answer)
    assert answer["strategy"] == "popular"
    assert answer["items"][0]["external_id"] == "city-2"
    assert [item["why"] for item in answer["items"]] == [{"type": "popular"}] + [{"type": "fresh"}] * 3


def test_an_event_changes_the_next_recommendation_and_watched_videos_are_gone(system: System) -> None:
    for number in (1, 2, 3):
        system.post_events({"user_id": "ann", "external_id": f"sea-{number}", "type": "watch", "fraction": 0.9})
    before = system.get("/recommend", userid="ann", n=5)
    assert {family(item) for item in before["items"]} == {"sea"}
    assert not {"sea-1", "sea-2", "sea-3"} & {item["external_id"] for item in before["items"]}
    for number in (1, 2, 3):
        system.post_events({"user_id": "ann", "external_id": f"forest-{number}", "type": "like"})
    after = system.get("/recommend", userid="ann", n=6)
    assert "forest" in {family(item) for item in after["items"]}
    assert not {"forest-1", "forest-2", "forest-3"} & {item["external_id"] for item in after["items"]}


def test_pages_never_repeat_and_end(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = system.get("/recommend", userid="ann", n=7, **cursor)
        seen += [item["external_id"] for item in page["items"]]
        # what happens meanwhile moves nothing on the pages that follow
        system.post_events({"user_id": "ann", "external_id": "desert-1", "type": "like"})
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 31


def test_a_cursor_of_another_user_is_refused(system: System) -> None:
    cursor = system.get("/recommend", userid="ann", n=2)["next_cursor"]
    response = system.client.get("/recommend", params={"userid": "bob", "cursor": cursor})
    assert response.status_code == 422
    assert response.json()["field"] == "cursor"


def test_excluded_videos_are_left_out_by_either_name(system: System) -> None:
    ids = system.library.families["sea"]
    answer = system.get("/recommend", userid="ann", n=100, exclude=[ids[0], "external:sea-2", "external:unknown"])
    names = {item["external_id"] for item in answer["items"]}
    assert len(names) == 30
    assert not {"sea-1", "sea-2"} & names


def test_a_category_keeps_the_others_out(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    answer = system.get("/recommend", userid="ann", n=100, category="city")
    assert {family(item) for item in answer["items"]} == {"city"}


def test_a_recommendation_can_be_looked_up(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    answer = system.get("/recommend", userid="ann", n=2, category="sea")
    record = system.get(f"/recommendations/{answer['recommendation_id']}")
    schemas.RecordOut.model_validate(record)
    assert record["userid"] == "ann"
    assert record["model_version"] == MODEL.version
    assert record["parameters"]["category"] == "sea"
    assert [c["id"] for c in record["candidates"][:2]] == [item["id"] for item in answer["items"]]
    assert record["interests"][0]["members"] == [system.library.families["sea"][0]]


def test_an_unavailable_video_is_not_recommended(system: System) -> None:
    assert system.client.patch("/videos/external:sea-2", json={"available": False}).status_code == 200
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    assert "sea-2" not in {i["external_id"] for i in system.get("/recommend", userid="ann", n=100)["items"]}


# ------------------------------------------------------------------------------------------ degradation


def test_without_the_index_the_list_is_popular_and_says_degraded(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    system.library.index.available = False
    answer = system.get("/recommend", userid="ann", n=5)
    assert (answer["degraded"], answer["strategy"]) == (True, "popular")
    assert len(answer["items"]) == 5
    assert "vidrec_degraded_total 1.0" in system.client.get("/metrics").text
    system.library.index.available = True
    assert system.get("/recommend", userid="ann", n=5)["degraded"] is False


def test_without_sql_the_list_comes_from_memory(system: System) -> None:
    system.get("/recommend", userid="ann")
    system.database.available = False
    excluded = [system.library.families["sea"][7], "external:city-8"]
    answer = system.get("/recommend", userid="ann", n=5, exclude=excluded)
    schemas.RecommendationOut.model_validate(answer)
    assert (answer["degraded"], answer["strategy"], answer["model"]) == (True, "popular", None)
    assert len(answer["items"]) == 5
    assert excluded[0] not in {item["id"] for item in answer["items"]}
    assert system.client.get("/readyz").status_code == 200
    response = system.client.get("/videos")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json()["type"] == "urn:vidrec:problem:unavailable"


def test_without_sql_and_without_a_list_it_is_503(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, sql_available=False) as system:
        for path in ("/recommend?userid=ann", "/readyz"):
            response = system.client.get(path)
            assert response.status_code == 503
            assert "Retry-After" in response.headers
        assert system.client.get("/livez").status_code == 200
        system.database.available = True
        assert system.get("/recommend", userid="ann")["degraded"] is False
        assert system.client.get("/readyz").json() == {"status": "ok"}


def test_an_empty_library_answers_an_empty_list(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, families=()) as system:
        answer = system.get("/recommend", userid="ann")
        assert (answer["items"], answer["next_cursor"]) == ([], None)
        assert system.get("/videos") == {"items": [], "next_cursor": None}


# ---------------------------------------------------------------------------------- likeness and search


def test_similar_videos_come_with_their_moments(system: System) -> None:
    answer = system.get("/videos/external:sea-1/similar", n=4)
    schemas.ItemsOut.model_validate(answer)
    assert {family(item) for item in answer["items"]} == {"sea"}
    assert "sea-1" not in {item["external_id"] for item in answer["items"]}
    assert all(item["why"]["watched"]["external_id"] == "sea-1" for item in answer["items"])
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_similar_to_an_unknown_video_is_404(shared: System) -> None:
    assert shared.client.get("/videos/external:nothing/similar").status_code == 404
    assert shared.client.get("/videos/01900000-0000-7000-8000-000000000000/similar").status_code == 404


@pytest.mark.parametrize("as_form", [True, False])
def test_a_picture_finds_videos(system: System, as_form: bool) -> None:
    wanted = system.library.families["forest"][3]
    system.encoder.target = system.library.index.videos(MODEL, [wanted])[wanted]
    picture = b"picture of a forest"
    body: dict[str, Any] = {"files": {"file": ("a.jpg", picture)}} if as_form else {"content": picture}
    response = system.client.post("/search/image", params={"n": 3}, **body)
    assert response.status_code == 200
    schemas.ItemsOut.model_validate(response.json())
    items = response.json()["items"]
    assert items[0]["id"] == wanted
    assert {family(item) for item in items} == {"forest"}
    assert items[0]["why"]["watched"] is None
    assert items[0]["why"]["moment"] is not None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": b"no image"}, "file"),
        ({"content": b""}, "file"),
        ({"files": {"other": b"picture"}}, "other"),
        ({"files": [("file", b"picture"), ("file", b"picture")]}, "file"),
        ({"data": {"file": "text"}, "files": {"x": b""}}, "x"),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "file"),
        ({"content": b"rubbish", "headers": {"Content-Type": "multipart/form-data"}}, "file"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=x; charset=hex"}}, "file"),
    ],
)
def test_what_is_no_picture_is_refused(shared: System, body: Any, field: str) -> None:
    response = shared.client.post("/search/image", **body)
    assert response.status_code == 422, response.text
    assert response.json()["field"] == field


def test_a_picture_over_the_limit_is_413(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, max_image_bytes=1000, families=()) as system:
        big = b"picture" + bytes(1000)
        assert system.client.post("/search/image", content=big).status_code == 413
        assert system.client.post("/search/image", content=iter([big[:600], big[600:]])).status_code == 413
        response = system.client.post("/search/image", files={"file": big})
        assert response.status_code == 413
        assert "1000" in response.json()["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EncoderUnavailable("the encoder does not answer", retry_after_s=2.5), 503),
        (Overloaded("the encoder is full", retry_after_s=3), 429),
        (ModelVersionMismatch("another version"), 409),
    ],
)
def test_what_the_encoder_cannot_do_is_told(system: System, error: Exception, status: int) -> None:
    system.encoder.error = error
    response = system.client.post("/search/image", content=b"picture")
    assert response.status_code == status
    assert response.headers.get("Retry-After") == (None if status == 409 else "3")


# ------------------------------------------------------------------------------------------ many at once


def test_many_requests_at_once_are_all_answered(system: System) -> None:
    system.library.act("ann", system.library.families["sea"][0], InteractionType.LIKE)
    answers: list[int] = []

    def ask(user: str) -> None:
        answers.append(system.client.get("/recommend", params={"userid": user, "n": 5}).status_code)

    threads = [threading.Thread(target=ask, args=(f"user {i % 7}",)) for i in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60


def test_filters_hold_and_wrong_ones_are_refused(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like"})
    for name in ("sea-2", "city-1", "city-2"):
        video = system.get(f"/videos/external:{name}")
        changed = system.client.patch(f"/videos/{video['id']}", json={"tags": ["night", "밤"]})
        assert changed.status_code == 200, changed.text
    answer = system.get("/recommend", userid="ann", tag=["밤", "no such"], n=10)
    assert answer["items"][0]["external_id"] == "sea-2"
    assert {item["external_id"] for item in answer["items"]} == {"sea-2", "city-1", "city-2"}
    record = system.get(f"/recommendations/{answer['recommendation_id']}")
    assert record["parameters"]["tags"] == ["no such", "밤"]
    assert system.get("/recommend", userid="ann", max_duration_s=1)["items"] == []
    assert len(system.get("/recommend", userid="ann", min_duration_s=1, n=5)["items"]) == 5
    assert system.get("/recommend", userid="ann", since="2999-01-01T00:00:00Z")["items"] == []
    for name, value in (("max_duration_s", "-1"), ("since", "2026-01-01"), ("min_duration_s", "nan"), ("tag", "")):
        response = system.client.get("/recommend", params={"userid": "ann", name: value})
        assert response.status_code == 422, name
        assert name in response.text
    crossed = system.client.get("/recommend", params={"userid": "ann", "min_duration_s": 9, "max_duration_s": 8})
    assert crossed.status_code == 422
    assert "min_duration_s" in crossed.text
