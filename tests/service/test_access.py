"""Who may call: keys, roles, sessions of the pages, tokens of viewers, links that work by themselves."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tests.library import MODEL
from tests.servers import wait_until
from tests.service.conftest import Start, System
from tests.service.test_uploads import FILM, SIGN, refused
from vidrec.api import schemas
from vidrec.api.access import COOKIE, Who, stated
from vidrec.api.app import create_app
from vidrec.api.errors import Problem
from vidrec.api.parameters import StrictRoute
from vidrec.api.session_schemas import SessionOut, TokenOut
from vidrec.application import access as access_module
from vidrec.application import pictures
from vidrec.application.access import AccessPolicy, Keys
from vidrec.application.upload import UploadPolicy
from vidrec.client import Client, Details
from vidrec.domain.access import Role
from vidrec.domain.errors import Forbidden, Unauthorized

JSON = {"Content-Type": "application/json"}


@dataclass
class Keyed:
    """A system that asks for keys, and one of each kind."""

    system: System
    keys: Keys
    ahead: list[float]
    """Seconds by which the clock of the keys is ahead."""
    texts: dict[str, str]

    def key(self, role: Role, **more: Any) -> str:
        return self.keys.create(role, **more)[1]

    def ask(self, who: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to one of `texts`, to another key, or (None) to somebody without any."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.texts.get(who, who)}"
        assert not self.system.client.cookies
        return self.system.client.request(method, path, headers=headers, **options)

    def get(self, who: str | None, path: str, **parameters: Any) -> Any:
        response = self.ask(who, "GET", path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    @contextmanager
    def browser(self, key: str) -> Iterator[httpx.Client]:
        """A client that is signed in as the pages sign in."""
        origin = f"http://127.0.0.1:{self.system.port}"
        with httpx.Client(base_url=origin, headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"}) as client:
            response = client.post("/session", json={"key": self.texts.get(key, key)})
            assert response.status_code == 200, response.text
            SessionOut.model_validate_json(response.content)
            yield client


@pytest.fixture(scope="module")
def keyed(start_system: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    ahead = [0.0]
    policy = UploadPolicy(suffixes=frozenset({".webm"}), max_open=3)
    folder = tmp_path_factory.mktemp("keyed")
    with start_system(folder, auth=lambda: time.time() + ahead[0], upload_policy=policy) as system:
        keys = Keys(system.services.database)
        texts = {role.value: keys.create(role)[1] for role in Role}
        texts["mina"] = keys.create(Role.CONSUMER, user_id="mina")[1]
        yield Keyed(system, keys, ahead, texts)


@pytest.fixture
def video(keyed: Keyed) -> dict[str, Any]:
    """A video with all its pictures."""
    [item] = keyed.get("admin", "/videos", limit=1, status="indexed")["items"]
    keyed.system.store.objects[pictures.thumbnail_key(item["id"])] = b"\xff\xd8thumbnail"
    keyed.system.store.objects[pictures.segment_key(item["id"], MODEL.version, 0, 1)] = b"\xff\xd8segment"
    found: dict[str, Any] = keyed.get("admin", f"/videos/{item['id']}")
    return found


# --------------------------------------------------------------------------------------- who may do what


def routes(system: System) -> list[APIRoute]:
    app = create_app(system.services)
    return [c.original_route for c in iter_route_contexts(app.routes) if isinstance(c.original_route, APIRoute)]


def test_every_route_states_who_may(shared: System) -> None:
    """A new route must say `@VIEWERS` or the like: see vidrec.api.access."""
    found = routes(shared)
    assert len(found) > 30
    assert [route.path for route in found if stated(route.endpoint) is None] == []
    held = [route for route in found if not stated(route.endpoint).everybody]  # type: ignore[union-attr]
    assert [route.path for route in held if not isinstance(route, StrictRoute)] == []


def words(who: Who | None) -> str:
    assert who is not None
    return who.words


def test_the_rights_are_these(shared: System) -> None:
    """All of them in one table: a change here is a change of what keys of people may do."""
    found = {f"{m} {r.path}": words(stated(r.endpoint)) for r in routes(shared) for m in r.methods if m != "HEAD"}
    everybody = {name for name, who in found.items() if who == "everybody"}
    assert everybody == {
        *("GET /", "GET /upload", "GET /docs", "GET /web/{name}"),
        *("GET /livez", "GET /readyz", "GET /metrics"),
        *("GET /session", "POST /session", "DELETE /session"),
        "PUT /upload/{bucket}/{key:path}",
        "POST /notifications/s3",  # shows a secret of its own
    }
    assert {name: who for name, who in found.items() if name not in everybody} == {
        "GET /recommend": "consumer, admin",
        "GET /recommendations/{recommendation_id}": "consumer, admin",
        "GET /users/{user_id}/profile": "consumer, admin",
        "DELETE /users/{user_id}/interests/{number}": "consumer, admin",
        "GET /videos/{video_id}/similar": "consumer, admin",
        "POST /search/image": "consumer, admin",
        "POST /events": "consumer, admin",
        "POST /viewer-tokens": "consumer, admin",
        "GET /presigned_for_upload/upload/{bucket}": "producer, admin",
        "POST /uploads": "producer, admin",
        "GET /uploads/{upload_id}": "producer, admin",
        "DELETE /uploads/{upload_id}": "producer, admin",
        "POST /uploads/{upload_id}/parts": "producer, admin",
        "POST /uploads/{upload_id}/complete": "producer, admin",
        "GET /videos": "producer, consumer, admin",
        "GET /videos/{video_id}": "producer, consumer, admin",
        "GET /videos/{video_id}/events": "producer, consumer, admin; a signed link",
        "GET /videos/{video_id}/thumbnail": "producer, consumer, admin; a signed link",
        "GET /videos/{video_id}/segments/{number}/picture": "producer, consumer, admin; a signed link",
        "GET /videos/{video_id}/stream": "consumer, admin; a signed link",
        "GET /videos/{video_id}/download": "consumer, admin; a signed link",
        "GET /videos.zip": "consumer, admin",
        "PATCH /videos/{video_id}": "producer, admin",
        "DELETE /videos/{video_id}": "admin",
        "DELETE /users/{user_id}": "consumer, admin",
        "GET /receipts/{receipt_id}": "consumer, admin",
    }


def test_without_a_key_every_route_that_needs_one_is_401(keyed: Keyed) -> None:
    for route in routes(keyed.system):
        who = stated(route.endpoint)
        if who is None or who.everybody:
            continue
        path = re.sub(r"\{\w+\}", "0", route.path)
        for method in route.methods:
            response = keyed.ask(None, method, path)
            assert response.status_code == 401, f"{method} {path}"
            assert response.headers["www-authenticate"] == 'Bearer realm="vidrec"'
            if method != "HEAD":
                refused(response, 401)


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/", "/upload", "/docs", "/openapi.json", "/session"]
)
def test_what_tells_nothing_of_videos_stays_open(keyed: Keyed, path: str) -> None:
    assert keyed.ask(None, "GET", path).status_code == 200


@pytest.mark.parametrize(
    "key", ["x", "vr_", "vr_000000000000_" + "a" * 52, "Bearer", "vt_e30.00", "vs_e30.00", "vr_é", "a" * 5000]
)
def test_a_key_that_is_none_is_401(keyed: Keyed, key: str) -> None:
    headers = [(b"authorization", b"Bearer " + key.encode())]
    response = httpx.get(f"http://127.0.0.1:{keyed.system.port}/videos", headers=headers)
    refused(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_the_secret_of_a_key_counts_and_not_its_id_alone(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare_digest(a: str, b: str) -> bool:
        compared.append((a, b))
        return False

    text = keyed.texts["admin"]
    assert keyed.ask(text[:-1] + ("a" if text[-1] != "a" else "b"), "GET", "/videos").status_code == 401
    monkeypatch.setattr(access_module.hmac, "compare_digest", compare_digest)
    assert keyed.ask("admin", "GET", "/videos").status_code == 401
    assert len(compared) == 1  # in constant time


def test_a_key_comes_in_either_header(keyed: Keyed) -> None:
    assert keyed.ask(None, "GET", "/videos", headers={"X-API-Key": keyed.texts["consumer"]}).status_code == 200
    assert keyed.ask(None, "GET", "/videos", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_roles(keyed: Keyed, video: dict[str, Any]) -> None:
    asked = {
        ("GET", "/recommend?userid=u"): {"consumer": 200, "admin": 200, "producer": 403},
        ("GET", f"{SIGN}?filename=a.webm"): {"consumer": 403, "producer": 200},
        ("GET", "/videos"): {"consumer": 200, "admin": 200, "producer": 200},
        ("GET", f"/videos/{video['id']}/stream"): {"producer": 403},
        ("GET", f"/videos/{video['id']}/thumbnail"): {"producer": 200, "consumer": 200},
        ("DELETE", f"/videos/{video['id']}"): {"producer": 403, "consumer": 403},
        ("DELETE", "/users/somebody"): {"producer": 403, "consumer": 403, "mina": 403, "admin": 202},
    }
    for (method, path), expected in asked.items():
        for who, status in expected.items():
            assert keyed.ask(who, method, path).status_code == status, f"{who} {method} {path}"
    problem = refused(keyed.ask("producer", "GET", "/recommend?userid=u"), 403)
    assert problem.detail == "this is for keys of the role consumer, admin; this caller is a producer"


def test_a_revoked_key_ends_with_its_sessions_and_tokens(keyed: Keyed) -> None:
    key, text = keyed.keys.create(Role.CONSUMER, name="shop")
    token = keyed.ask(text, "POST", "/viewer-tokens", json={"user_id": "u"}).json()["token"]
    with keyed.browser(text) as browser:
        asks: list[Callable[[], httpx.Response]] = [
            lambda: keyed.ask(text, "GET", "/videos"),
            lambda: keyed.ask(token, "GET", "/videos"),
            lambda: browser.get("/videos"),
        ]
        assert [ask().status_code for ask in asks] == [200, 200, 200]
        keyed.keys.revoke(key.id)
        wait_until(lambda: [ask().status_code for ask in asks] == [401, 401, 401], timeout_s=5)


def test_with_sql_gone_known_keys_are_believed_on(keyed: Keyed) -> None:
    assert keyed.ask("consumer", "GET", "/recommend?userid=u").status_code == 200
    keyed.system.database.available = False
    try:
        time.sleep(0.4)  # longer than keys are believed
        answer = keyed.get("consumer", "/recommend", userid="u")
        assert answer["degraded"] is True
        assert keyed.ask(keyed.texts["consumer"].replace("vr_", "vr_f"), "GET", "/videos").status_code == 401
    finally:
        keyed.system.database.available = True


def test_requests_ask_sql_for_no_key(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first of each moment."""
    asked = []
    real = access_module.Access.caller
    monkeypatch.setattr(access_module.Access, "caller", lambda self, claim: asked.append(1) or real(self, claim))
    begun = time.monotonic()
    for _ in range(30):
        assert keyed.ask("consumer", "GET", "/receipts/x").status_code == 422
    assert len(asked) <= 2 + (time.monotonic() - begun) / 0.3


# ---------------------------------------------------------------------------------------------- one user


def test_a_key_bound_to_a_user_acts_as_nobody_else(keyed: Keyed) -> None:
    event = {"external_id": "sea-1", "type": "like"}
    for who in ("mina", keyed.ask("consumer", "POST", "/viewer-tokens", json={"user_id": "mina"}).json()["token"]):
        own = keyed.get(who, "/recommend", userid="mina")
        assert "userid" in refused(keyed.ask(who, "GET", "/recommend?userid=jun"), 403).detail
        assert keyed.ask(who, "GET", f"/recommendations/{own['recommendation_id']}").status_code == 200
        other = keyed.get("consumer", "/recommend", userid="jun")
        assert keyed.ask(who, "GET", f"/recommendations/{other['recommendation_id']}").status_code == 403
        assert keyed.ask(who, "POST", "/events", json={**event, "user_id": "mina"}).status_code == 202
        both = [{**event, "user_id": "mina"}, {**event, "user_id": "jun"}]
        assert keyed.ask(who, "POST", "/events", json=both).status_code == 403
        assert keyed.ask(who, "DELETE", "/users/jun").status_code == 403
        assert keyed.ask(who, "DELETE", "/users/mina%2Fjun").status_code == 403
        assert keyed.ask(who, "GET", "/users/jun/profile").status_code == 403
        assert keyed.ask(who, "GET", "/users/mina/profile").status_code == 200
        assert keyed.ask(who, "DELETE", "/users/jun/interests/0").status_code == 403
        assert keyed.ask(who, "DELETE", "/users/mina").status_code == 202
        assert keyed.ask(who, "POST", "/viewer-tokens", json={"user_id": "mina"}).status_code == 403


def test_viewer_tokens(keyed: Keyed) -> None:
    made = keyed.ask("consumer", "POST", "/viewer-tokens", json={"user_id": "한국/사람", "lifetime_s": 600})
    assert made.status_code == 201
    token = TokenOut.model_validate(made.json()).token
    assert keyed.ask(token, "GET", "/recommend", params={"userid": "한국/사람"}).status_code == 200
    assert keyed.ask(token, "GET", "/recommend", params={"userid": "한국"}).status_code == 403
    body, _, signature = token.partition(".")
    for altered in (f"{body[:-2]}AA.{signature}", f"{body}.{signature[:-1]}", body, token.replace("vt_", "vs_")):
        assert keyed.ask(altered, "GET", "/videos").status_code == 401
    for lifetime in (0, 59, 86_401, "600", None):
        asked = {"user_id": "u", "lifetime_s": lifetime}
        refused(keyed.ask("consumer", "POST", "/viewer-tokens", json=asked), 422, "lifetime_s")
    assert keyed.ask("producer", "POST", "/viewer-tokens", json={"user_id": "u"}).status_code == 403
    keyed.ahead[0] += 700
    assert "expired" in refused(keyed.ask(token, "GET", "/videos"), 401).detail


# ---------------------------------------------------------------------------------------------- sessions


def test_pages_exchange_a_key_for_a_session(keyed: Keyed) -> None:
    assert keyed.get(None, "/session") == {"auth": "keys", "role": None, "user_id": None, "buckets": []}
    with keyed.browser("admin") as browser:
        told = browser.get("/session")
        assert told.json() == {"auth": "keys", "role": "admin", "user_id": None, "buckets": ["videos"]}
        assert told.headers["cache-control"] == "no-store"
        assert browser.get("/videos").status_code == 200
        assert browser.delete("/session").status_code == 204
        assert COOKIE not in browser.cookies
        assert browser.get("/videos").status_code == 401
    with keyed.browser("mina") as browser:
        assert browser.get("/session").json()["user_id"] == "mina"
        assert browser.get("/recommend?userid=jun").status_code == 403


def test_the_cookie_is_for_our_pages_alone(keyed: Keyed, start_system: Start, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{keyed.system.port}"
    made = httpx.post(f"{base}/session", json={"key": keyed.texts["consumer"]})
    parts = {part.strip().lower() for part in made.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} == parts
    assert keyed.texts["consumer"] not in made.headers["set-cookie"]
    with start_system(tmp_path, auth=time.time, public_url="https://watch.example") as system:
        text = Keys(system.services.database).create(Role.ADMIN)[1]
        made = system.client.post("/session", json={"key": text})
        assert "secure" in made.headers["set-cookie"].lower()
        cookie = made.headers["set-cookie"].split(";")[0]
        headers = {"Cookie": cookie, "Origin": "https://watch.example"}
        assert system.client.delete("/videos/external:sea-1", headers=headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_session_does_nothing_for_pages_of_elsewhere(keyed: Keyed, headers: dict[str, str]) -> None:
    with keyed.browser("admin") as browser:
        for method, path in (("DELETE", "/videos/external:city-1"), ("POST", "/events"), ("DELETE", "/session")):
            assert browser.request(method, path, headers=headers).status_code == 403
        if headers != {"Origin": ""}:
            keys = {"key": keyed.texts["admin"]}
            assert browser.post("/session", json=keys, headers=headers).status_code == 403
        assert browser.get("/videos", headers=headers).status_code == 200  # the browser lets nobody read it
        browser.headers.pop("Origin")
        assert browser.delete("/videos/external:city-1").status_code == 403
    assert keyed.ask("admin", "GET", "/videos/external:city-1").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({"key": "vr_no"}, 401), ({"key": ""}, 422), ({}, 422), ({"key": 5}, 422), ({"key": "x" * 5000}, 422)],
)
def test_a_bad_key_begins_no_session(keyed: Keyed, body: Any, status: int) -> None:
    response = keyed.ask(None, "POST", "/session", json=body)
    assert response.status_code == status
    assert "set-cookie" not in response.headers


def test_a_session_ends_by_itself(keyed: Keyed) -> None:
    token = keyed.ask("consumer", "POST", "/viewer-tokens", json={"user_id": "jun", "lifetime_s": 60}).json()["token"]
    with keyed.browser("admin") as long, keyed.browser(token) as short:
        assert short.get("/recommend?userid=jun").status_code == 200
        keyed.ahead[0] += 61
        assert short.get("/videos").status_code == 401
        assert short.get("/session").json()["role"] is None
        assert long.get("/videos").status_code == 200
        keyed.ahead[0] += 12 * 3600
        assert long.get("/videos").status_code == 401


# ------------------------------------------------------------------------------------------------- links


def path_of(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


def test_links_work_without_a_key_for_a_while(keyed: Keyed, video: dict[str, Any]) -> None:
    schemas.VideoOut.model_validate(video)
    links = video["links"]
    names = ("thumbnail", "segment_picture", "events")
    paths = [path_of(links[name]).replace("{number}", "0") for name in names]
    paths += [paths[1] + "&position=1"]
    keyed.ahead[0] += 2600  # three quarters of an hour at least
    for path in paths:
        assert keyed.ask(None, "GET", path).status_code == 200, path
    for path in (links["stream"], links["download"]):
        assert keyed.ask(None, "GET", path_of(path)).status_code == 404  # the library's files are not there
        assert keyed.ask(None, "HEAD", path_of(path)).status_code == 404
    keyed.ahead[0] += 1100
    for path in [*paths, path_of(links["stream"])]:
        assert "expired" in refused(keyed.ask(None, "GET", path), 403).detail
        assert keyed.ask("consumer", "GET", path).status_code in (200, 404)


def test_links_of_recommendations_are_signed(keyed: Keyed) -> None:
    keyed.ask("consumer", "POST", "/events", json={"user_id": "linked", "external_id": "sea-1", "type": "like"})
    item = keyed.get("consumer", "/recommend", userid="linked", n=1)["items"][0]
    schemas.ItemOut.model_validate(item)
    signed = [item["links"][name] for name in ("thumbnail", "segment_picture", "stream", "download")]
    signed += [item["why"]["moment"]["picture"], item["why"]["watched"]["moment"]["picture"]]
    assert all("signature=" in link for link in signed)
    again = keyed.get("consumer", "/recommend", userid="linked", n=1)["items"][0]
    assert item["links"] == again["links"]  # so that browsers find in their caches what they have


def test_an_altered_link_is_403(keyed: Keyed, video: dict[str, Any]) -> None:
    [other] = keyed.get("admin", "/videos", q="sea-1")["items"]
    thumbnail = path_of(video["links"]["thumbnail"])
    path, _, query = thumbnail.partition("?")
    expires = int(query.partition("&")[0].removeprefix("expires="))
    for altered in (
        f"{path}?{query[:-1]}",
        f"{path}?{query.replace(str(expires), str(expires + 60))}",
        f"{path}?{query.partition('&')[2]}",
        f"{path}?{query}&signature=",
        thumbnail.replace(video["id"], other["id"]),
        thumbnail.replace(video["id"], "external:sea-1"),
        thumbnail.replace("thumbnail", "stream"),
        thumbnail.replace("thumbnail", "segments/0/picture"),
    ):
        assert keyed.ask(None, "GET", altered).status_code == 403, altered
    assert keyed.ask(None, "GET", path).status_code == 401
    assert keyed.ask(None, "GET", f"/videos?{query}").status_code == 401


def test_producers_get_no_links_to_watch_by(keyed: Keyed, video: dict[str, Any]) -> None:
    links = keyed.get("producer", f"/videos/{video['id']}")["links"]
    assert [name for name, link in links.items() if "signature" in link] == ["thumbnail", "segment_picture", "events"]
    assert links["stream"] == f"/videos/{video['id']}/stream"


def test_without_keys_links_are_bare(shared: System) -> None:
    item = shared.get("/videos", limit=1)["items"][0]
    assert not [link for link in item["links"].values() if "?" in link]
    assert shared.get("/session") == {"auth": "off", "role": "admin", "user_id": None, "buckets": ["videos"]}
    for path in ("/session", "/viewer-tokens"):
        refused(shared.client.post(path, json={"key": "x"}), 409)
    assert shared.client.delete("/session").status_code == 204


# ----------------------------------------------------------------------------------- uploads of one key


def test_an_upload_is_its_keys_own(keyed: Keyed) -> None:
    own, other = keyed.key(Role.PRODUCER), keyed.key(Role.PRODUCER)
    begun = keyed.ask(own, "POST", "/uploads", json={"bucket": "videos", "filename": "a.webm", "size": 10}).json()
    path = f"/uploads/{begun['upload_id']}"
    assert keyed.ask(own, "GET", path).status_code == 200
    assert keyed.ask("admin", "GET", path).status_code == 200
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/complete"), ("POST", "/parts")):
        assert keyed.ask(other, method, path + below, json={"numbers": [1]} if below else None).status_code == 404
    video = f"/videos/{begun['video_id']}"
    assert keyed.ask(own, "PATCH", video, json={"title": "Mine"}).status_code == 200
    assert keyed.ask(other, "PATCH", video, json={"title": "Not mine"}).status_code == 403
    assert keyed.ask(own, "PATCH", "/videos/external:sea-1", json={"title": "Not mine"}).status_code == 403
    assert keyed.ask(own, "DELETE", video).status_code == 403
    assert keyed.ask(own, "DELETE", path).status_code == 204


def test_a_quota_refuses_beforehand_or_cuts(keyed: Keyed) -> None:
    key = keyed.key(Role.PRODUCER, quota_bytes=3 * len(FILM))
    signed = keyed.get(key, SIGN, filename="a.webm", size=len(FILM))
    assert httpx.put(signed["PresignedURL"], content=FILM).status_code == 200
    more = {"filename": "b.webm", "size": 2 * len(FILM) + 1}
    problem = refused(keyed.ask(key, "GET", SIGN, params=more), 413, "size")
    assert f"{2 * len(FILM)} of the {3 * len(FILM)} bytes" in problem.detail
    refused(keyed.ask(key, "POST", "/uploads", json={"bucket": "videos", **more}), 413, "size")
    undeclared = keyed.get(key, SIGN, filename="b.webm")
    too_long = FILM * 2 + b"x"
    refused(httpx.put(undeclared["PresignedURL"], content=too_long), 413, "body")
    refused(httpx.put(undeclared["PresignedURL"], content=iter([too_long])), 413, "body")
    assert httpx.put(undeclared["PresignedURL"], content=iter([FILM, FILM])).status_code == 200
    refused(keyed.ask(key, "GET", SIGN, params={"filename": "c.webm"}), 413, "size")
    assert keyed.ask("admin", "DELETE", f"/videos/{signed['video_id']}").status_code == 202
    assert keyed.ask(key, "GET", SIGN, params={"filename": "c.webm", "size": len(FILM)}).status_code == 200


def test_a_key_announces_so_many_uploads(keyed: Keyed) -> None:
    key, other = keyed.key(Role.PRODUCER), keyed.key(Role.PRODUCER)
    made = [keyed.get(key, SIGN, filename="a.webm") for _ in range(3)]
    response = keyed.ask(key, "GET", SIGN, params={"filename": "a.webm"})
    refused(response, 429)
    assert response.headers["retry-after"] == "60"
    assert keyed.ask(other, "GET", SIGN, params={"filename": "a.webm"}).status_code == 200
    assert httpx.put(made[0]["PresignedURL"], content=FILM).status_code == 200
    assert keyed.ask(key, "GET", SIGN, params={"filename": "a.webm"}).status_code == 200


def test_the_client_shows_its_key(keyed: Keyed, tmp_path: Path) -> None:
    file = tmp_path / "a.webm"
    file.write_bytes(FILM)
    url = f"http://127.0.0.1:{keyed.system.port}"
    for large in (1, len(FILM) + 1):  # in parts, and whole
        with Client(url, key=keyed.texts["producer"], state=tmp_path / "state") as client:
            video_id = client.upload(file, Details(), large=large)
            assert client.video(video_id)["stage"] == "queued"
    for key, error in ((None, Unauthorized), ("vr_no", Unauthorized), (keyed.texts["consumer"], Forbidden)):
        with Client(url, key=key, state=tmp_path / "state") as client, pytest.raises(error, match="key"):
            client.upload(file, Details())


def test_rates(keyed: Keyed) -> None:
    key = keyed.key(Role.CONSUMER, rate_per_minute=3)
    token = keyed.ask(key, "POST", "/viewer-tokens", json={"user_id": "u"}).json()["token"]
    assert [keyed.ask(key, "GET", "/videos").status_code for _ in range(3)] == [200, 200, 429]
    response = keyed.ask(key, "GET", "/videos")
    assert 15 <= int(response.headers["retry-after"]) <= 20
    assert "3 requests a minute" in refused(response, 429).detail
    assert keyed.ask(token, "GET", "/videos").status_code == 200  # a viewer has a count of its own


# ------------------------------------------------------------------------------------ elsewhere and logs


def test_pages_of_other_origins(start_system: Start, tmp_path: Path, shared: System) -> None:
    ask = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"}
    headers = {**ask, "Access-Control-Request-Headers": "authorization"}
    assert shared.client.options("/videos", headers=headers).status_code == 405
    assert "access-control-allow-origin" not in shared.client.get("/videos", headers=ask).headers
    with start_system(tmp_path, auth=time.time, cors_origins=("https://shop.example",)) as system:
        allowed = system.client.options("/videos", headers=headers)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in allowed.headers
        told = system.client.get("/videos", headers=ask)
        assert (told.status_code, told.headers["access-control-allow-origin"]) == (401, "https://shop.example")
        refused_origin = {**headers, "Origin": "https://evil.example"}
        assert "access-control-allow-origin" not in system.client.options("/videos", headers=refused_origin).headers


def test_logs_tell_who_was_refused_and_no_secret(keyed: Keyed, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="vidrec"):
        key, text = keyed.keys.create(Role.PRODUCER, name="log")
        keyed.ask(text, "GET", "/recommend?userid=secret-user")
        keyed.ask(text + "x", "GET", "/videos")
        keyed.keys.revoke(key.id)
    said = caplog.text
    assert f"key {key.id} (producer) was made" in said
    assert f"key {key.id} was revoked" in said
    assert "refused GET /recommend: this is for keys of the role" in said
    assert "refused GET /videos: the key is unknown or was revoked" in said
    assert text[16:] not in said
    assert "secret-user" not in said
    assert key.digest not in said
    assert key.digest not in repr(key)


def test_refusals_are_problems(keyed: Keyed) -> None:
    problem = Problem.model_validate(keyed.ask(None, "GET", "/videos").json())
    assert problem.type == "urn:vidrec:problem:unauthorized"
    assert "Authorization: Bearer" in problem.detail


def test_policies_have_limits() -> None:
    assert AccessPolicy().believe_s <= 5  # a revoked key ends within seconds
