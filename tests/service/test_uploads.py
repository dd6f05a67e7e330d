"""Handing over videos: signed addresses, what becomes of bad uploads, uploads in parts, and the stages told."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import requests

from tests.service.conftest import Start, System
from vidrec.adapters.local_uploads import LocalUploads
from vidrec.api import body as body_module
from vidrec.api import schemas, stages
from vidrec.api.errors import Problem
from vidrec.api.metrics import Observed
from vidrec.application.jobs import INDEX_VIDEO
from vidrec.application.ports import Conditions
from vidrec.application.upload import UploadPolicy
from vidrec.domain.errors import FailureReason
from vidrec.domain.models import MediaInfo, utc_now
from vidrec.domain.uploads import MIN_PART, Stage, VideoProgress

SIGN = "/presigned_for_upload/upload/videos"
FILM = b"\x1aE\xdf\xa3" + bytes(range(256)) * 40
MEDIA = MediaInfo(container="webm", video_codec="vp9", audio_codec=None, width=320, height=180, duration_s=30.0)


def signed(system: System, filename: str = "Tteokbokki.webm", **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = system.get(SIGN, filename=filename, **parameters)
    schemas.SignedOut.model_validate(made)
    return made


def refused(response: httpx.Response, status: int, field: str | None = None) -> Problem:
    """The problem of a refusal, which must be of this status and about this field."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    assert problem.field == field, problem
    return problem


def kept(system: System) -> list[str]:
    """All files below the media folder."""
    media = system.folder / "media"
    return sorted(str(path.relative_to(media)) for path in media.rglob("*") if path.is_file())


def jobs(system: System) -> list[str | None]:
    return [job.video_id for job in system.queue.list() if job.kind == INDEX_VIDEO]


def status(system: System, video_id: str) -> str:
    return str(system.get(f"/videos/{video_id}")["status"])


# ----------------------------------------------------------------------------------------- what is taken


def test_a_bare_put_makes_the_video_wait_to_be_indexed(system: System) -> None:
    made = signed(system, title="떡볶이 🍲", category="food", tags=["hot", "red"], external_id="own-1")
    assert made["method"] == "PUT"
    assert made["headers"] == {}
    assert made["status_url"] == f"http://127.0.0.1:{system.port}/videos/{made['video_id']}"
    assert timedelta(minutes=14) < datetime.fromisoformat(made["expires_at"]) - utc_now() <= timedelta(minutes=15)
    assert status(system, made["video_id"]) == "uploading"
    assert jobs(system) == []
    response = httpx.put(made["PresignedURL"], content=FILM)
    assert response.status_code == 200, response.text
    assert response.json() == {"video_id": made["video_id"], "status_url": made["status_url"]}
    assert response.headers["etag"]
    video = httpx.get(made["status_url"]).json()
    schemas.VideoOut.model_validate(video)
    assert (video["title"], video["category"], video["tags"]) == ("떡볶이 🍲", "food", ["hot", "red"])
    assert (video["filename"], video["external_id"]) == ("Tteokbokki.webm", "own-1")
    assert (video["status"], video["stage"], video["progress"]) == ("queued", "queued", None)
    assert video["size_bytes"] == len(FILM)
    assert jobs(system) == [made["video_id"]]
    with system.database.snapshot() as uow:
        found = uow.catalogue.get([made["video_id"]])[made["video_id"]]
    assert found.content_sha256 == hashlib.sha256(FILM).hexdigest()
    assert kept(system) == [found.location.removeprefix("media:///")]
    assert (system.folder / "media" / kept(system)[0]).read_bytes() == FILM


def test_the_parameter_that_older_clients_send_is_taken(system: System) -> None:
    made = system.get(SIGN, Filename="Old.webm")
    assert system.get(f"/videos/{made['video_id']}")["title"] == "Old"


def test_asking_is_never_answered_from_a_cache(system: System) -> None:
    assert system.client.get(SIGN, params={"filename": "a.webm"}).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "video/webm", "text/html"])
def test_any_content_type_is_taken_unless_one_was_signed(system: System, content_type: str) -> None:
    url = signed(system)["PresignedURL"]
    assert httpx.put(url, content=FILM, headers={"Content-Type": content_type}).status_code == 200


def test_what_was_declared_is_bound_and_taken_when_it_is_so(system: System) -> None:
    made = signed(system, size=len(FILM), content_type="video/webm", sha256=hashlib.sha256(FILM).hexdigest().upper())
    assert made["headers"] == {"Content-Type": "video/webm"}
    assert httpx.put(made["PresignedURL"], content=FILM, headers=made["headers"]).status_code == 200


def test_a_body_of_unknown_length_is_taken(system: System) -> None:
    made = signed(system)
    assert httpx.put(made["PresignedURL"], content=iter([FILM, FILM])).status_code == 200
    assert system.get(f"/videos/{made['video_id']}")["size_bytes"] == 2 * len(FILM)


NAMES = {
    "../../etc/passwd.webm": "passwd",
    "..\\..\\windows\\film.webm": "film",
    "/absolute/name.webm": "name",
    "nul\0l.webm": "null",
    "line\nbreak\x1b[31m.webm": "linebreak[31m",
    "a" * 1019 + ".webm": "a" * 1019,
    "archive.mp4.webm": "archive.mp4",
    "UPPER.WEBM": "UPPER",
    "떡볶이 만들기.webm": "떡볶이 만들기",
    "떡.webm": "떡",
    "🍜🔥 100% \"'<b>&amp;.webm": "🍜🔥 100% \"'<b>&amp;",
    "exe.\u202ebew.webm": "exe.bew",
    "  spaced  .webm ": "  spaced  ".strip() + "  ",
    ".webm": ".webm",
    "con.webm": "con",
}


@pytest.mark.parametrize(("filename", "title"), NAMES.items(), ids=range(len(NAMES)))
def test_a_name_is_only_ever_shown(shared: System, filename: str, title: str) -> None:
    made = signed(shared, filename)
    assert httpx.put(made["PresignedURL"], content=FILM).status_code == 200
    video = shared.get(f"/videos/{made['video_id']}")
    assert video["title"] == title
    assert f"/videos/originals/{made['video_id']}/original.webm?" in made["PresignedURL"]


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("bucket", "query", "status", "field"),
    [
        ("videos", "", 422, "filename"),
        ("videos", "filename=", 422, "filename"),
        ("videos", "filename=a.webm&Filename=a.webm", 422, "filename"),
        ("videos", "filename=a", 422, "filename"),
        ("videos", "filename=a.exe", 422, "filename"),
        ("videos", "filename=a.webm.exe", 422, "filename"),
        ("videos", "filename=a.webm/", 422, "filename"),
        ("videos", "filename=a.webm%00.exe", 422, "filename"),
        ("videos", "filename=" + "a" * 5000 + ".webm", 422, "filename"),
        ("other", "filename=a.webm", 422, "bucket"),
        ("..", "filename=a.webm", 404, None),
        ("%00", "filename=a.webm", 422, "bucket"),
        ("videos", "filename=a.webm&size=0", 422, "size"),
        ("videos", "filename=a.webm&size=-1", 422, "size"),
        ("videos", "filename=a.webm&size=x", 422, "size"),
        ("videos", f"filename=a.webm&size={1 << 50}", 413, "size"),
        ("videos", f"filename=a.webm&size={'9' * 400}", 413, "size"),
        ("videos", "filename=a.webm&sha256=abc", 422, "sha256"),
        ("videos", "filename=a.webm&content_type=video", 422, "content_type"),
        ("videos", "filename=a.webm&content_type=a/b%0d%0aX:%20y", 422, "content_type"),
        ("videos", "filename=a.webm&title=", 422, "title"),
        ("videos", "filename=a.webm&external_id=%00", 422, "external_id"),
        ("videos", "filename=a.webm&tags=", 422, "tags"),
        ("videos", "filename=a.webm&private=1", 422, "private"),
    ],
)
def test_what_is_not_taken_is_named_beforehand(
    shared: System, bucket: str, query: str, status: int, field: str | None
) -> None:
    before = len(shared.get("/videos", status="uploading")["items"])
    refused(shared.client.get(f"/presigned_for_upload/upload/{bucket}?{query}"), status, field)
    assert len(shared.get("/videos", status="uploading")["items"]) == before


def test_an_external_id_of_another_video_is_a_conflict(system: System) -> None:
    signed(system, external_id="mine")
    refused(system.client.get(SIGN, params={"filename": "b.webm", "external_id": "mine"}), 409)


def assert_nothing_came(system: System, made: dict[str, Any]) -> None:
    assert kept(system) == []
    assert jobs(system) == []
    assert status(system, made["video_id"]) == "uploading"


@pytest.mark.parametrize(
    ("declared", "body", "field"),
    [
        ({}, b"", "body"),
        ({"size": 100}, b"x" * 99, "Content-Length"),
        ({"size": 100}, b"x" * 101, "Content-Length"),
        ({"sha256": "0" * 64}, FILM, "sha256"),
        ({"content_type": "video/webm"}, FILM, "Content-Type"),
    ],
)
def test_other_bytes_than_were_signed_leave_nothing(
    system: System, declared: dict[str, Any], body: bytes, field: str
) -> None:
    made = signed(system, **declared)
    refused(httpx.put(made["PresignedURL"], content=body), 422, field)
    assert_nothing_came(system, made)


@pytest.mark.parametrize(("size", "count"), [(100, 99), (100, 101), (100, 3_000_000)])
def test_a_body_of_undeclared_length_is_counted(system: System, size: int, count: int) -> None:
    made = signed(system, size=size)
    refused(httpx.put(made["PresignedURL"], content=iter([b"x" * count])), 422, "body")
    assert_nothing_came(system, made)


def test_an_empty_body_of_undeclared_length_is_refused(system: System) -> None:
    made = signed(system)
    refused(httpx.put(made["PresignedURL"], content=iter([])), 422, "body")
    assert_nothing_came(system, made)


def test_a_refused_upload_can_be_made_good_at_the_same_address(system: System) -> None:
    made = signed(system, size=len(FILM))
    refused(httpx.put(made["PresignedURL"], content=FILM[1:]), 422, "Content-Length")
    assert httpx.put(made["PresignedURL"], content=FILM).status_code == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("signature=", "signature=0"),
        ("expires=", "expires=9"),
        ("size=", "size=1"),
        ("/videos/originals/", "/other/originals/"),
        ("/original.webm", "/original.mp4"),
        ("/original.webm", "/../original.webm"),
        ("&type=", "&part=1&type="),
        ("video%2Fwebm", "video%2Fmp4"),
    ],
)
def test_an_altered_address_is_forbidden(system: System, old: str, new: str) -> None:
    made = signed(system, size=len(FILM), content_type="video/webm")
    url = made["PresignedURL"].replace(old, new)
    assert url != made["PresignedURL"]
    refused(httpx.put(url, content=FILM, headers=made["headers"]), 403)
    assert_nothing_came(system, made)


def test_an_address_of_another_installation_is_forbidden(system: System, tmp_path: Path) -> None:
    made = signed(system)
    (system.folder / "upload.secret").unlink()
    other = LocalUploads(system.folder / "media", tmp_path / "other.secret")
    with system.database.snapshot() as uow:
        [upload] = uow.uploads.waiting(10)
    url = other.sign_put(upload.bucket, upload.key, Conditions(), lifetime_s=60).url
    refused(system.client.put(url, content=FILM), 403)
    assert_nothing_came(system, made)


def test_the_method_is_bound_too(system: System) -> None:
    url = signed(system)["PresignedURL"]
    for method in ("GET", "POST", "DELETE", "PATCH"):
        refused(httpx.request(method, url), 405)


def test_an_expired_address_is_forbidden(start_system: Start, tmp_path: Path) -> None:
    ahead = timedelta()
    store = LocalUploads(tmp_path / "media", tmp_path / "upload.secret", clock=lambda: utc_now() + ahead)
    with start_system(tmp_path, families=(), upload_store=store) as system:
        made = signed(system)
        ahead = timedelta(minutes=15)
        problem = refused(httpx.put(made["PresignedURL"], content=FILM), 403)
        assert "expired" in problem.detail
        assert_nothing_came(system, made)


def test_a_second_put_is_refused_and_the_first_object_stays(system: System) -> None:
    made = signed(system)
    assert httpx.put(made["PresignedURL"], content=FILM).status_code == 200
    refused(httpx.put(made["PresignedURL"], content=b"other"), 412)
    assert len(kept(system)) == 1
    assert (system.folder / "media" / kept(system)[0]).read_bytes() == FILM
    assert len(jobs(system)) == 1


def test_of_puts_at_the_same_time_one_wins(system: System) -> None:
    made = signed(system)
    bodies = [bytes([n]) * 200_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: httpx.put(made["PresignedURL"], content=body, timeout=30), bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    [won] = [body for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 200]
    assert [(system.folder / "media" / name).read_bytes() for name in kept(system)] == [won]
    assert len(jobs(system)) == 1


def test_files_over_the_limit_are_refused_declared_or_not(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, families=(), upload_policy=UploadPolicy(max_bytes=1_000_000)) as system:
        refused(system.client.get(SIGN, params={"filename": "a.webm", "size": 1_000_001}), 413, "size")
        made = signed(system)
        refused(httpx.put(made["PresignedURL"], content=b"x" * 1_000_001), 413, "body")
        refused(httpx.put(made["PresignedURL"], content=iter([b"x" * 400_000] * 20)), 413, "body")
        assert_nothing_came(system, made)


def test_a_connection_that_ends_early_leaves_nothing(system: System) -> None:
    made = signed(system)
    url = httpx.URL(made["PresignedURL"])
    with socket.create_connection(("127.0.0.1", system.port)) as connection:
        head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 2_000_000)
        deadline = time.monotonic() + 10
        while not kept(system):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    while kept(system):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert_nothing_came(system, made)
    assert httpx.put(made["PresignedURL"], content=FILM).status_code == 200


def test_a_sender_that_falls_silent_is_not_waited_for(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_IDLE_S", 0.2)
    made = signed(system)
    url = httpx.URL(made["PresignedURL"])
    with socket.create_connection(("127.0.0.1", system.port), timeout=10) as connection:
        head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 2_000_000)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert_nothing_came(system, made)


def test_files_that_come_in_are_bounded_and_hold_up_no_other_request(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Observed, "uploads", 2)
    monkeypatch.setattr(Observed, "limit", 1)
    first, second, third = (signed(system) for _ in range(3))
    open_now = []
    for made in (first, second):
        url = httpx.URL(made["PresignedURL"])
        connection = socket.create_connection(("127.0.0.1", system.port), timeout=10)
        head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head.encode())
        open_now.append(connection)
    deadline = time.monotonic() + 10
    while len(kept(system)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    refused(httpx.put(third["PresignedURL"], content=FILM), 503)
    assert "vidrec_http_requests_waiting 1.0" in system.client.get("/metrics").text  # itself alone
    for connection in open_now:
        connection.close()
    while httpx.put(third["PresignedURL"], content=FILM).status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
def test_a_large_file_to_a_bad_address_gets_its_answer(system: System, expect: dict[str, str]) -> None:
    """Plain clients read no answer before they have sent everything."""
    made = signed(system)
    url = made["PresignedURL"].replace("signature=", "signature=0")
    response = requests.put(url, data=iter([bytes(1 << 20)] * 60), headers=expect, timeout=30)
    assert response.status_code == 403
    assert "altered" in response.json()["detail"]
    assert_nothing_came(system, made)


def test_an_upload_whose_video_was_deleted_is_not_taken(system: System) -> None:
    made = signed(system)
    assert system.client.delete(f"/videos/{made['video_id']}").status_code == 202
    refused(httpx.put(made["PresignedURL"], content=FILM), 404)
    assert kept(system) == []


def test_without_sql_nothing_is_taken_and_nothing_left(system: System) -> None:
    made = signed(system)
    system.database.available = False
    refused(httpx.put(made["PresignedURL"], content=FILM), 503)
    system.database.available = True
    assert_nothing_came(system, made)


# ------------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("declared", [True, False])
def test_memory_stays_flat(system: System, declared: bool) -> None:
    """300 MB go through a process that grows by a few: the client is in the same one, and sends what is there."""
    made = signed(system)
    block = memoryview(os.urandom(1 << 20))
    count = 300
    process = psutil.Process()
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    def body() -> Iterator[bytes]:
        for _ in range(count):
            yield bytes(block)

    httpx.put(signed(system)["PresignedURL"], content=bytes(block) * 8)  # what the first request allocates
    before = process.memory_info().rss
    thread = threading.Thread(target=watch)
    thread.start()
    headers = {"Content-Length": str(count << 20)} if declared else {}
    response = httpx.put(made["PresignedURL"], content=body(), headers=headers, timeout=120)
    over.set()
    thread.join()
    assert response.status_code == 200, response.text
    assert peak[0] - before < 48 << 20, f"grew by {(peak[0] - before) >> 20} MiB"
    assert system.get(f"/videos/{made['video_id']}")["size_bytes"] == count << 20


# ---------------------------------------------------------------------------------------------- in parts


LARGE = os.urandom(2 * MIN_PART + 12345)


def begun(system: System, data: bytes = LARGE, **more: Any) -> dict[str, Any]:
    body = {"bucket": "videos", "filename": "큰 파일.webm", "size": len(data), **more}
    response = system.client.post("/uploads", json=body)
    assert response.status_code == 201, response.text
    schemas.BegunOut.model_validate(response.json())
    return dict(response.json())


def part_of(data: bytes, number: int) -> bytes:
    return data[(number - 1) * MIN_PART : number * MIN_PART]


def send(system: System, upload_id: str, *numbers: int, data: bytes = LARGE) -> list[httpx.Response]:
    response = system.client.post(f"/uploads/{upload_id}/parts", json={"numbers": list(numbers)})
    assert response.status_code == 200, response.text
    parts = schemas.SignedPartsOut.model_validate(response.json()).parts
    assert [part.number for part in parts] == list(numbers)
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda part: httpx.put(part.url, content=part_of(data, part.number), timeout=30), parts))


def there(system: System, upload_id: str) -> dict[str, Any]:
    answer = system.get(f"/uploads/{upload_id}")
    schemas.UploadOut.model_validate(answer)
    return dict(answer)


def test_parts_in_any_order_and_at_the_same_time_become_the_file(system: System) -> None:
    made = begun(system, sha256=hashlib.sha256(LARGE).hexdigest())
    assert made["part_size"] == MIN_PART
    [first] = send(system, made["upload_id"], 3)
    assert first.status_code == 200
    assert first.json() == {"number": 3, "size": 12345, "etag": first.headers["etag"].strip('"')}
    # cut here: what is there is told, the rest goes on from it
    shown = there(system, made["upload_id"])
    assert [(part["number"], part["size"]) for part in shown["parts"]] == [(3, 12345)]
    refused(system.client.post(f"/uploads/{made['upload_id']}/complete"), 409)
    assert status(system, made["video_id"]) == "uploading"
    assert [r.status_code for r in send(system, made["upload_id"], 2, 1)] == [200, 200]
    assert [part["number"] for part in there(system, made["upload_id"])["parts"]] == [1, 2, 3]
    assert jobs(system) == []
    assert not any(name.startswith("originals") for name in kept(system))
    for _ in range(2):  # twice is once
        response = system.client.post(f"/uploads/{made['upload_id']}/complete")
        assert response.status_code == 202, response.text
        assert response.json() == {"video_id": made["video_id"], "status_url": made["status_url"]}
    video = system.get(f"/videos/{made['video_id']}")
    assert (video["title"], video["status"], video["size_bytes"]) == ("큰 파일", "queued", len(LARGE))
    assert jobs(system) == [made["video_id"]]
    assert [(system.folder / "media" / name).read_bytes() for name in kept(system)] == [LARGE]
    shown = there(system, made["upload_id"])
    assert (shown["complete"], shown["parts"]) == (True, [])
    refused(system.client.post(f"/uploads/{made['upload_id']}/parts", json={"numbers": [1]}), 409)
    refused(system.client.delete(f"/uploads/{made['upload_id']}"), 409)


def test_completing_at_the_same_time_makes_one_file_and_one_job(system: System) -> None:
    made = begun(system)
    send(system, made["upload_id"], 1, 2, 3)
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: httpx.post(f"{system.client.base_url}/uploads/{made['upload_id']}/complete"), range(4))
        )
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    assert len(jobs(system)) == 1
    assert [(system.folder / "media" / name).read_bytes() for name in kept(system)] == [LARGE]


def test_a_part_that_is_sent_again_replaces_itself(system: System) -> None:
    made = begun(system)
    wrong = bytes(len(LARGE))
    assert send(system, made["upload_id"], 1, data=wrong)[0].status_code == 200
    assert send(system, made["upload_id"], 1, 2, 3)[0].status_code == 200
    assert len(there(system, made["upload_id"])["parts"]) == 3
    assert system.client.post(f"/uploads/{made['upload_id']}/complete").status_code == 202
    assert [(system.folder / "media" / name).read_bytes() for name in kept(system)] == [LARGE]


def test_parts_of_another_length_are_refused(system: System) -> None:
    made = begun(system)
    url = system.client.post(f"/uploads/{made['upload_id']}/parts", json={"numbers": [3]}).json()["parts"][0]["url"]
    refused(httpx.put(url, content=b"x" * 12344), 422, "Content-Length")
    refused(httpx.put(url, content=iter([b"x" * 12346])), 422, "body")
    refused(httpx.put(url.replace("part=3", "part=1"), content=b"x" * 12345), 403)
    assert there(system, made["upload_id"])["parts"] == []
    assert kept(system) == []


def test_a_wrong_digest_shows_nothing_and_can_be_made_good(system: System) -> None:
    made = begun(system, sha256=hashlib.sha256(LARGE).hexdigest())
    send(system, made["upload_id"], 1, 2, 3, data=bytes(len(LARGE)))
    refused(system.client.post(f"/uploads/{made['upload_id']}/complete"), 422, "sha256")
    assert status(system, made["video_id"]) == "uploading"
    assert len(kept(system)) == 3
    send(system, made["upload_id"], 1, 2, 3)
    assert system.client.post(f"/uploads/{made['upload_id']}/complete").status_code == 202


def test_an_upload_that_is_ended_leaves_nothing(system: System) -> None:
    made = begun(system, external_id="again")
    send(system, made["upload_id"], 1)
    assert system.client.delete(f"/uploads/{made['upload_id']}").status_code == 204
    assert kept(system) == []
    refused(system.client.get(f"/videos/{made['video_id']}"), 404)
    for method, path in (("GET", ""), ("POST", "/complete"), ("DELETE", "")):
        refused(system.client.request(method, f"/uploads/{made['upload_id']}{path}"), 404)
    begun(system, external_id="again")  # free again


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("", 422, "body"),
        ("{", 422, "body"),
        ("[]", 422, "body"),
        ('{"bucket": "videos", "filename": "a.webm"}', 422, "size"),
        ('{"bucket": "videos", "filename": "a.webm", "size": 0}', 422, "size"),
        ('{"bucket": "videos", "filename": "a.webm", "size": "5"}', 422, "size"),
        ('{"bucket": "videos", "filename": "a.webm", "size": 1e30}', 422, "size"),
        ('{"bucket": "videos", "filename": "a.webm", "size": 99999999999999999999}', 413, "size"),
        ('{"bucket": "other", "filename": "a.webm", "size": 5}', 422, "bucket"),
        ('{"bucket": "videos", "filename": "a.txt", "size": 5}', 422, "filename"),
        ('{"bucket": "videos", "filename": "a.webm", "size": 5, "x": 1}', 422, "x"),
    ],
)
def test_a_bad_beginning_is_refused(shared: System, body: str, status: int, field: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused(shared.client.post("/uploads", content=body, headers=headers), status, field)


@pytest.mark.parametrize("numbers", [[], [0], [4], [-1], ["1"], [1.5], [10**30], list(range(1, 1002)), None])
def test_parts_that_are_none_are_refused(shared: System, numbers: Any) -> None:
    made = begun(shared)
    response = shared.client.post(f"/uploads/{made['upload_id']}/parts", json={"numbers": numbers})
    assert response.status_code == 422
    assert str(Problem.model_validate(response.json()).field).startswith("numbers")


# ---------------------------------------------------------------------------------------------- the stages


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_the_stages_are_told_until_the_end(system: System) -> None:
    made = signed(system)
    video_id = made["video_id"]
    told: list[tuple[str, Any]] = []
    with httpx.stream("GET", f"{made['status_url']}/events", timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for name, data in events(response):
            told.append((data["stage"], data["progress"]))
            assert (name, data["video_id"]) == ("stage", video_id)
            if data["stage"] == "uploading":
                httpx.put(made["PresignedURL"], content=FILM)
            elif data["stage"] == "queued":
                with system.database.transaction() as uow:
                    uow.catalogue.mark_processing(video_id)
            elif data["stage"] == "decoding":
                step = VideoProgress(Stage.DECODING, 12, 30)
                with system.database.transaction() as uow:
                    uow.progress.put(video_id, step if data["progress"] is None else VideoProgress(Stage.EMBEDDING))
                assert system.get(f"/videos/{video_id}")["status"] == "processing"
            elif data["stage"] == "embedding":
                with system.database.transaction() as uow:
                    uow.catalogue.mark_indexed(video_id, model_version="m", media=MEDIA, segment_count=1)
        last = response.headers
    assert told == [
        *(
            ("uploading", None),
            ("queued", None),
            ("decoding", None),
            ("decoding", {"done": 12, "total": 30, "ranges": None}),
        ),
        *(("embedding", None), ("indexed", None)),
    ]
    assert last["cache-control"] == "no-store"


def test_the_listing_tells_how_far_videos_are(system: System) -> None:
    made = signed(system)
    with system.database.transaction() as uow:
        uow.catalogue.mark_processing(made["video_id"])
        uow.progress.put(made["video_id"], VideoProgress(Stage.DECODING, 3, None))
    [listed] = system.get("/videos", status="processing")["items"]
    assert (listed["stage"], listed["progress"]) == ("decoding", {"done": 3, "total": None, "ranges": None})
    schemas.VideoOut.model_validate(listed)


def test_a_failure_is_told_in_words(system: System) -> None:
    made = signed(system)
    with system.database.transaction() as uow:
        uow.catalogue.mark_failed(made["video_id"], FailureReason.NOT_A_VIDEO, "this is a text")
    body = httpx.get(f"{made['status_url']}/events").text
    assert '"failure":{"reason":"not_a_video","message":"this is a text"}' in body
    assert body.count("event: ") == 1


def test_a_browser_that_reconnects_after_the_end_stops(system: System) -> None:
    video_id = system.library.families["sea"][0]
    first = system.client.get(f"/videos/{video_id}/events").text
    event_id = next(line for line in first.splitlines() if line.startswith("id: ")).removeprefix("id: ")
    again = system.client.get(f"/videos/{video_id}/events", headers={"Last-Event-ID": event_id})
    assert again.status_code == 204


def test_a_deleted_video_ends_its_stream_and_an_unknown_one_has_none(system: System) -> None:
    made = signed(system)
    with httpx.stream("GET", f"{made['status_url']}/events", timeout=20) as response:
        stream = events(response)
        assert next(stream)[0] == "stage"
        system.client.delete(f"/videos/{made['video_id']}")
        assert next(stream)[0] == "deleted"
        assert list(stream) == []
    refused(system.client.get(f"/videos/{made['video_id']}/events"), 404)


def test_comments_keep_a_quiet_stream_alive(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "HEARTBEAT_S", 0.1)
    made = signed(system)
    with httpx.stream("GET", f"{made['status_url']}/events", timeout=20) as response:
        lines = response.iter_lines()
        assert any(line.startswith(":") for line in lines)


def test_streams_are_bounded_and_one_that_is_left_makes_room(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, families=(), max_event_streams=2) as system:
        url = f"{signed(system)['status_url']}/events"
        with httpx.stream("GET", url, timeout=20) as first, httpx.stream("GET", url, timeout=20) as second:
            assert (first.status_code, second.status_code) == (200, 200)
            response = httpx.get(url)
            refused(response, 429)
            assert "retry-after" in response.headers
        deadline = time.monotonic() + 10
        while True:
            with httpx.stream("GET", url, timeout=20) as third:
                if third.status_code == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_open_streams_do_not_hold_up_the_end(start_system: Start, tmp_path: Path) -> None:
    with start_system(tmp_path, families=()) as system:
        stream = httpx.stream("GET", f"{signed(system)['status_url']}/events", timeout=20)
        response = stream.__enter__()
        lines = response.iter_lines()
        assert next(lines)
        begun_at = time.monotonic()
    took = time.monotonic() - begun_at
    assert list(lines)
    stream.__exit__(None, None, None)
    assert took < 3


# ---------------------------------------------------------------------------------------------- measured


def test_the_time_until_recommendable_is_a_histogram(system: System) -> None:
    made = signed(system)
    httpx.put(made["PresignedURL"], content=FILM)
    with system.database.transaction() as uow:
        for _ in range(2):  # indexing again is not counted
            uow.uploads.mark_recommendable(made["video_id"], utc_now() + timedelta(seconds=4))
        uow.uploads.mark_recommendable(system.library.families["sea"][0], utc_now())
    text = system.client.get("/metrics").text
    lines = dict(
        line.rsplit(" ", 1) for line in text.splitlines() if "upload_to_recommendable" in line and "#" not in line
    )
    name = "vidrec_upload_to_recommendable_seconds"
    assert lines[f'{name}_bucket{{le="3.0"}}'] == "0.0"
    assert (
        lines[f'{name}_bucket{{le="5.0"}}'] == lines[f'{name}_bucket{{le="+Inf"}}'] == lines[f"{name}_count"] == "1.0"
    )
    assert 3.9 < float(lines[f"{name}_sum"]) < 4.9
