"""Listing, changing and deleting videos; deleting users; receipts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.library import MODEL
from tests.service.conftest import System
from vidrec.api import schemas
from vidrec.api.errors import Problem
from vidrec.api.receipt_schemas import ReceiptOut
from vidrec.application.erase import finish_erase_video
from vidrec.application.jobs import ERASE_VIDEO, INDEX_VIDEO
from vidrec.domain.errors import FailureReason, IndexUnavailable
from vidrec.domain.models import JobState, NewJob, NewVideo

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def add(system: System, **changes: Any) -> str:
    values = {"location": "file:///x.webm", "filename": "x.webm", "size_bytes": 1, "content_sha256": "0" * 64}
    with system.database.transaction() as uow:
        video_id: str = uow.catalogue.add(NewVideo(**{**values, **changes})).id
    return video_id


def work(system: System) -> None:
    """What a worker would do now."""
    job = system.queue.lease([ERASE_VIDEO], lease_s=30)
    assert job is not None
    finish_erase_video(
        job, database=system.database, queue=system.queue, index=system.library.index, store=system.store
    )


# --------------------------------------------------------------------------------------------- listing


def test_the_listing_has_the_shape_that_clients_rely_on(shared: System) -> None:
    answer = shared.get("/videos", limit=3)
    schemas.VideosOut.model_validate(answer)
    first = answer["items"][0]
    assert list(first)[:7] == ["id", "external_id", "title", "status", "category", "tags", "duration_s"]
    assert (first["external_id"], first["title"], first["status"]) == ("desert-8", "desert-8", "indexed")
    assert (first["category"], first["tags"], first["duration_s"]) == ("desert", [], 30.0)


def test_pages_hold_every_video_once_newest_first(shared: System) -> None:
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = shared.get("/videos", limit=10, **cursor)
        names += [video["external_id"] for video in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(names) == len(set(names)) == 32
    assert names[0] == "desert-8"
    assert names[-1] == "sea-1"


def test_titles_are_searched_without_wildcards_or_case(system: System) -> None:
    for title in ("Tteokbokki 100%", "떡볶이 만들기", "ÉTÉ_1"):
        add(system, title=title)
    found = {
        q: [v["title"] for v in system.get("/videos", q=q)["items"]] for q in ("TTEOK", "떡볶이", "été_", "0%", "_")
    }
    assert found == {
        "TTEOK": ["Tteokbokki 100%"],
        "떡볶이": ["떡볶이 만들기"],
        "été_": ["ÉTÉ_1"],
        "0%": ["Tteokbokki 100%"],
        "_": ["ÉTÉ_1"],
    }


def test_the_listing_is_filtered_by_category_and_status(system: System) -> None:
    failed = add(system, title="broken")
    with system.database.transaction() as uow:
        uow.catalogue.mark_failed(failed, FailureReason.EMPTY, "the file is empty")
    assert len(system.get("/videos", category="sea")["items"]) == 8
    (video,) = system.get("/videos", status="failed")["items"]
    schemas.VideoOut.model_validate(video)
    assert video["failure"] == {"reason": "empty", "message": "the file is empty"}
    assert video["duration_s"] is None
    assert video["media"] is None


# ------------------------------------------------------------------------------------- one video, changes


def test_a_video_is_found_by_either_name(shared: System) -> None:
    video_id = shared.library.families["sea"][0]
    by_id, by_name = shared.get(f"/videos/{video_id}"), shared.get("/videos/external:sea-1")
    schemas.VideoOut.model_validate(by_id)
    assert by_id == by_name == shared.get(f"/videos/{video_id.upper()}")


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "50%", "떡볶이 #1?", "external:x", "a:b", ".."])
def test_any_external_id_can_stand_in_a_path(system: System, name: str) -> None:
    video_id = add(system, external_id=name)
    response = system.client.get(f"/videos/external:{quote(name, safe='')}")
    assert response.status_code == 200, response.text
    assert (response.json()["id"], response.json()["external_id"]) == (video_id, name)


def test_what_is_changed_is_answered_and_stays(system: System) -> None:
    response = system.client.patch(
        "/videos/external:sea-1",
        json={"title": "떡볶이", "category": "food", "tags": ["hot", "sweet"], "available": False},
    )
    assert response.status_code == 200
    schemas.VideoOut.model_validate(response.json())
    video = system.get("/videos/external:sea-1")
    assert (video["title"], video["category"], video["tags"], video["available"]) == (
        "떡볶이",
        "food",
        ["hot", "sweet"],
        False,
    )
    assert system.client.patch("/videos/external:sea-1", json={"tags": []}).json()["tags"] == []
    assert system.get("/videos/external:sea-1")["title"] == "떡볶이"


def test_a_changed_category_filters_searches(system: System) -> None:
    assert system.client.patch("/videos/external:sea-2", json={"category": "food"}).status_code == 200
    answer = system.get("/videos/external:sea-1/similar", category="food")
    assert [item["external_id"] for item in answer["items"]] == ["sea-2"]


def test_a_category_that_the_index_cannot_be_told_changes_nothing(system: System) -> None:
    system.library.index.available = False
    response = system.client.patch("/videos/external:sea-1", json={"category": "food", "title": "x"})
    assert response.status_code == 503
    video = system.get("/videos/external:sea-1")
    assert (video["category"], video["title"]) == ("sea", "sea-1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ([], "body"),
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": "a\0"}, "title"),
        ({"title": "a" * 257}, "title"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["a", 1]}, "tags.1"),
        ({"tags": ["a"] * 101}, "tags"),
        ({"available": "yes"}, "available"),
        ({"available": 1}, "available"),
        ({"category": ""}, "category"),
        ({"status": "indexed"}, "status"),
    ],
)
def test_a_bad_change_is_refused(shared: System, body: Any, field: str) -> None:
    response = shared.client.patch("/videos/external:sea-1", json=body)
    assert response.status_code == 422
    assert response.json()["field"] == field


# -------------------------------------------------------------------------------------------- deletion


def test_a_deleted_video_is_gone_at_once_and_all_of_it_when_the_receipt_says_so(system: System) -> None:
    video_id = system.library.families["sea"][1]
    system.post_events(
        {"user_id": "ann", "external_id": "sea-1", "type": "like"},
        {"user_id": "ann", "external_id": "sea-2", "type": "like"},
    )
    recommendation = system.get("/recommend", userid="bob", n=100)["recommendation_id"]
    system.get("/recommend", userid="ann")
    system.store.put(f"pictures/{video_id}/thumbnail.jpg", b"jpeg")
    with system.database.transaction() as uow:
        (job_id,) = system.queue.enqueue(uow, [NewJob(kind=INDEX_VIDEO, payload={}, video_id=video_id)])

    response = system.client.delete("/videos/external:sea-2")
    assert response.status_code == 202
    receipt = response.json()
    ReceiptOut.model_validate(receipt)
    assert (receipt["kind"], receipt["subject"], receipt["status"]) == ("video", video_id, "pending")
    assert system.client.get(f"/videos/{video_id}").status_code == 404
    assert system.client.get(f"/videos/{video_id}/thumbnail").status_code == 404
    assert system.queue.get([job_id])[job_id].state is JobState.CANCELLED
    for user in ("ann", "bob"):
        assert video_id not in {i["id"] for i in system.get("/recommend", userid=user, n=100)["items"]}
    assert system.client.delete(f"/videos/{video_id}").json()["receipt_id"] == receipt["receipt_id"]

    work(system)
    done = system.get(receipt["links"]["self"])
    ReceiptOut.model_validate(done)
    assert done["status"] == "completed"
    assert done["completed_at"] is not None
    assert (done["probe"]["probes"], done["probe"]["found"]) == (1, 0)
    places = {(one["store"], one["place"]) for one in done["probe"]["looks"]}
    assert {("objects", f"pictures/{video_id}/"), ("vectors", MODEL.videos_collection)} <= places
    assert system.store.objects == {}
    assert system.library.index.videos(MODEL, [video_id]) == {}
    record = system.get(f"/recommendations/{recommendation}")
    assert video_id not in {c["id"] for c in record["candidates"]}
    with system.database.snapshot() as uow:
        assert video_id not in {w.video_id for w in uow.interactions.history("ann")}
        assert uow.profiles.get("ann", MODEL.version) is None
    assert system.queue.lease([ERASE_VIDEO], lease_s=30) is None


def test_right_after_the_answer_no_route_tells_of_the_video(system: System) -> None:
    gone = system.library.families["sea"][1]
    system.encoder.target = system.library.index.videos(MODEL, [gone])[gone]
    for user in ("ann", "bob"):
        system.post_events(
            {"user_id": user, "external_id": "sea-1", "type": "like"},
            {"user_id": user, "external_id": "sea-2", "type": "like"},
        )
    shown = system.get("/recommend", userid="eve", n=100)
    assert gone in {item["id"] for item in shown["items"]}
    system.get("/recommend", userid="ann", n=100)
    assert system.client.delete("/videos/external:sea-2").status_code == 202

    answers = [
        *(system.get("/recommend", userid=user, n=100)["items"] for user in ("ann", "bob", "eve", "new")),
        system.get("/videos/external:sea-1/similar", n=100)["items"],
        system.get("/videos", limit=200)["items"],
        system.get("/videos", q="sea-2")["items"],
        system.get("/recommend", userid="eve", cursor=shown["next_cursor"])["items"] if shown["next_cursor"] else [],
        system.get(f"/recommendations/{shown['recommendation_id']}")["candidates"],
        system.client.post("/search/image", params={"n": 100}, content=b"picture of the sea").json()["items"],
    ]
    assert [gone in str(items) for items in answers] == [False] * len(answers)
    assert answers[-1]
    for path in ("", "/stream", "/download", "/thumbnail", "/segments/0", "/similar"):
        assert system.client.get(f"/videos/{gone}{path}").status_code == 404, path


def test_right_after_the_answer_no_route_tells_of_the_user(system: System) -> None:
    system.post_events({"user_id": "ann", "external_id": "sea-1", "type": "like", "event_id": "e"})
    told = system.get("/recommend", userid="ann", n=5)
    assert told["strategy"] == "content"
    receipt = system.client.delete("/users/ann").json()
    assert receipt["status"] == "completed"
    assert receipt["probe"]["found"] == 0
    assert {(one["store"], one["place"]) for one in receipt["probe"]["looks"]} == {
        ("rows", table) for table in ("interactions", "profiles", "profile_members", "recommendations")
    }
    assert system.client.get(f"/recommendations/{told['recommendation_id']}").status_code == 404
    if told["next_cursor"]:
        assert system.client.get("/recommend", params={"userid": "ann", "cursor": told["next_cursor"]}).is_client_error
    assert system.get("/recommend", userid="ann", n=5)["strategy"] != "content"


def test_an_erasure_that_fails_is_tried_again(system: System) -> None:
    receipt = system.client.delete("/videos/external:sea-1").json()
    job = system.queue.lease([ERASE_VIDEO], lease_s=30)
    assert job is not None
    system.library.index.available = False
    with pytest.raises(IndexUnavailable):
        finish_erase_video(
            job, database=system.database, queue=system.queue, index=system.library.index, store=system.store
        )
    assert system.get(receipt["links"]["self"])["status"] == "pending"
    system.library.index.available = True
    system.queue.release(job)
    work(system)
    assert system.get(receipt["links"]["self"])["status"] == "completed"


def test_a_deleted_user_is_a_user_never_seen(system: System) -> None:
    system.post_events({"user_id": "ann/1", "external_id": "sea-1", "type": "like", "event_id": "e"})
    recommendation = system.get("/recommend", userid="ann/1", n=100)
    assert recommendation["strategy"] == "content"
    response = system.client.delete("/users/ann%2F1")
    assert response.status_code == 202
    ReceiptOut.model_validate(response.json())
    assert response.json()["status"] == "completed"
    assert "ann" not in response.text
    assert system.client.get(f"/recommendations/{recommendation['recommendation_id']}").status_code == 404
    again = system.get("/recommend", userid="ann/1", n=100)
    assert again["strategy"] == "popular"
    assert "sea-1" in {item["external_id"] for item in again["items"]}
    assert system.client.delete("/users/nobody").status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/videos/{UNKNOWN}", 404),
        ("GET", "/videos/external:nothing", 404),
        ("PATCH", f"/videos/{UNKNOWN}", 404),
        ("DELETE", f"/videos/{UNKNOWN}", 404),
        ("DELETE", "/videos/external:nothing", 404),
        ("GET", f"/receipts/{UNKNOWN}", 404),
        ("GET", f"/recommendations/{UNKNOWN}", 404),
        ("GET", "/videos/1", 422),
        ("GET", "/videos/%00", 422),
        ("GET", "/videos/%ff", 422),
        ("GET", "/videos/external:%ff", 422),
        ("GET", "/videos/external:", 404),
        ("GET", "/receipts/1", 422),
        ("GET", "/recommendations/x", 422),
        ("DELETE", "/users/%0a", 422),
        ("DELETE", "/users/" + "a" * 257, 422),
        ("DELETE", "/users/", 404),
        ("POST", "/videos", 405),
        ("PUT", f"/videos/{UNKNOWN}", 405),
        ("GET", "/users/ann", 405),
        ("DELETE", "/recommend", 405),
        ("GET", "/nothing", 404),
        ("GET", "/videos/", 404),
        ("GET", "/web/../app.py", 404),
        ("GET", "/web/nothing.js", 404),
    ],
)
def test_what_is_not_there_is_a_problem(shared: System, method: str, path: str, status: int) -> None:
    body = {"json": {"title": "x"}} if method == "PATCH" else {}
    response = shared.client.request(method, path, **body)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    Problem.model_validate(problem)
    assert problem["status"] == status
    if status == 405:
        assert response.headers["Allow"]
