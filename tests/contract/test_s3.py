"""What is particular to buckets: objects that are pinned, versions, links, rules, libraries; on a real S3 server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.s3 import VERSITY, S3Server
from tests.servers import free_port
from vidrec.adapters.s3 import S3, S3Library, S3Options, S3Store, S3Uploads, buckets
from vidrec.adapters.s3.locations import Located, located
from vidrec.adapters.s3.partial import BLOCK
from vidrec.api.media import content_disposition
from vidrec.application.ports import Conditions, Presentation
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable
from vidrec.domain.models import utc_now

KEY = "originals/1/original.webm"
SHOWN = Presentation(content_type="video/webm", disposition=content_disposition("attachment", "떡볶이 🍲.webm"))


@pytest.fixture(params=[VERSITY])
def server(request: pytest.FixtureRequest, s3_of: Callable[[str], S3Server]) -> S3Server:
    return s3_of(request.param)


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.bucket()


@pytest.fixture
def store(server: S3Server, bucket: str, tmp_path: Path) -> S3Store:
    return S3Store(server.s3, bucket, "kept", upload_buckets=[bucket], scratch=tmp_path)


def put(server: S3Server, bucket: str, data: bytes, key: str = KEY) -> None:
    """A bare PUT to an address that was signed for nothing but its key."""
    signed = S3Uploads(server.s3).sign_put(bucket, key, Conditions(), lifetime_s=60)
    assert signed.headers == {}
    assert httpx.put(signed.url, content=data).status_code == 200


def arrive(server: S3Server, bucket: str, data: bytes, key: str = KEY) -> str:
    """The location of an object that was taken in."""
    put(server, bucket, data, key)
    uploads = S3Uploads(server.s3)
    found = uploads.stat(bucket, key)
    assert found is not None
    return uploads.location(bucket, key, found)


def test_what_is_signed_is_what_is_told(server: S3Server, bucket: str) -> None:
    conditions = Conditions(size=5, content_type="video/webm", sha256="0" * 64, if_none_match=True)
    signed = S3Uploads(server.s3).sign_put(bucket, KEY, conditions, lifetime_s=60)
    [names] = [
        p.partition("=")[2] for p in urlsplit(signed.url).query.split("&") if p.startswith("X-Amz-SignedHeaders")
    ]
    assert {*names.split("%3B")} == {"host", *(name.lower() for name in signed.headers)}


def test_an_object_that_was_replaced_is_not_read_in_its_place(server: S3Server, bucket: str, store: S3Store) -> None:
    location = arrive(server, bucket, b"first" * 1000)
    assert "?etag=" in location
    with store.original(location) as original:
        assert not isinstance(original, Path)
        put(server, bucket, b"second" * 1000)
        with pytest.raises(NotFound):
            original.fill(0, 10)
    reads: list[Callable[[], object]] = [
        lambda: store.read(location),
        lambda: store.size(location),
        lambda: store.link(location, SHOWN, method="GET", lifetime_s=60),
    ]
    for read in reads:
        with pytest.raises(NotFound):
            read()


def test_where_versions_are_kept_the_first_one_stays_readable(server: S3Server, tmp_path: Path) -> None:
    bucket = server.bucket(versions=True)
    store = S3Store(server.s3, bucket, upload_buckets=[bucket], scratch=tmp_path)
    location = arrive(server, bucket, b"first")
    assert "?versionId=" in location
    put(server, bucket, b"second")
    assert store.read(location) == b"first"
    link = store.link(location, SHOWN, method="GET", lifetime_s=60)
    assert httpx.get(str(link)).content == b"first"
    assert store.delete("originals/1/") == 1
    with pytest.raises(NotFound):
        store.read(location)
    assert server.s3.client.list_object_versions(Bucket=bucket).get("Versions", []) == []


def test_deleting_an_upload_leaves_no_version_of_it(server: S3Server) -> None:
    bucket = server.bucket(versions=True)
    for data in (b"one", b"two"):
        put(server, bucket, data)
    put(server, bucket, b"other", f"{KEY}.other")
    S3Uploads(server.s3).delete(bucket, KEY)
    left = server.s3.client.list_object_versions(Bucket=bucket)
    assert [one["Key"] for one in left["Versions"]] == [f"{KEY}.other"]
    assert "DeleteMarkers" not in left


def test_the_digest_that_a_client_signed_is_known_without_reading(server: S3Server, bucket: str) -> None:
    data, uploads = b"x" * 5000, S3Uploads(server.s3)
    digest = hashlib.sha256(data).hexdigest()
    signed = uploads.sign_put(bucket, KEY, Conditions(sha256=digest), lifetime_s=60)
    assert httpx.put(signed.url, content=data, headers=dict(signed.headers)).status_code == 200
    found = uploads.stat(bucket, KEY)
    assert found is not None
    assert found.sha256 == digest


def test_a_link_gives_the_bytes_under_their_own_name(server: S3Server, bucket: str, store: S3Store) -> None:
    location = arrive(server, bucket, b"film")
    answer = httpx.get(str(store.link(location, SHOWN, method="GET", lifetime_s=60)), headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (206, b"il")
    assert answer.headers["content-disposition"] == SHOWN.disposition
    assert answer.headers["content-type"] == "video/webm"
    assert httpx.head(str(store.link(location, SHOWN, method="HEAD", lifetime_s=60))).headers["content-length"] == "4"
    with pytest.raises(NotFound):
        store.link("media:///nothing", SHOWN, method="GET", lifetime_s=60)


def test_clients_are_sent_to_the_public_address(server: S3Server, bucket: str, tmp_path: Path) -> None:
    public = S3(S3Options(endpoint=server.server.uri, public_endpoint="https://media.example.com:444", path_style=True))
    store = S3Store(public, bucket, scratch=tmp_path)
    location = store.put("a.jpg", b"x")
    link = store.link(location, SHOWN, method="GET", lifetime_s=60)
    assert str(link).startswith(f"https://media.example.com:444/{bucket}/a.jpg?")
    assert public.origins() == ("https://media.example.com:444",)
    hosted = S3(S3Options(public_endpoint="https://s3.example.com"))
    assert hosted.origins() == ("https://s3.example.com", "https://*.s3.example.com")
    for s3 in (public, hosted):
        s3.close()


def test_only_what_is_asked_for_is_fetched(server: S3Server, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(80 * BLOCK + 5)
    store = S3Store(server.s3, bucket, scratch=tmp_path, max_scratch_bytes=1)
    location = arrive(server, bucket, data)
    with store.original(location) as original:
        assert not isinstance(original, Path)
        assert original.path.stat().st_size == len(data)
        for start, stop in ((len(data) - 3, len(data)), (3 * BLOCK - 2, 3 * BLOCK + 2)):
            original.fill(start, stop)
            with original.path.open("rb") as file:
                file.seek(start)
                assert file.read(stop - start) == data[start:stop]
        assert original.path.stat().st_blocks * 512 <= 4 * BLOCK
        for start in range(0, len(data), BLOCK):  # all of it, of which not all is kept
            original.fill(start, start + 1)
            with original.path.open("rb") as file:
                file.seek(start)
                assert file.read(1) == data[start : start + 1]
        assert original.path.stat().st_blocks * 512 <= 70 * BLOCK
    assert list(tmp_path.iterdir()) == []
    with store.local(location) as path:
        assert path.read_bytes() == data


def test_what_was_begun_and_left_is_swept_where_it_is_ours(server: S3Server, bucket: str) -> None:
    uploads = S3Uploads(server.s3, places=[(bucket, "originals/")], sweep_every_s=3600)
    uploads.begin(bucket, KEY)
    uploads.begin(bucket, "somebody-elses")
    assert uploads.sweep(utc_now() + timedelta(hours=1)) == 1
    uploads.begin(bucket, KEY)
    assert uploads.sweep(utc_now() + timedelta(hours=1)) == 0  # looked a moment ago


def test_a_library_is_listed_without_what_is_ours(server: S3Server, bucket: str) -> None:
    for key in ("films/a.webm", "films/a b+?#%.webm", "films/떡볶이.mp4", KEY, "other/c.webm"):
        server.s3.client.put_object(Bucket=bucket, Key=key, Body=b"film")
    library = S3Library(server.s3, own=[(bucket, "originals/")])
    assert {one.key for one in library.list(f"s3://{bucket}")} == {
        *("films/a.webm", "films/a b+?#%.webm", "films/떡볶이.mp4", "other/c.webm")
    }
    listed = list(library.list(f"s3://{bucket}/films/"))
    store = S3Store(server.s3, bucket, scratch=Path("unused"))
    for one in listed:
        assert (store.read(one.location), one.size) == (b"film", 4)
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        list(library.list("s3://no-such-bucket-here/x"))


def test_browsers_are_let_in_by_a_rule_beside_others(server: S3Server, bucket: str) -> None:
    theirs = {"ID": "theirs", "AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    assert buckets.cors(server.s3, bucket) == []
    server.s3.client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [theirs]})  # type: ignore[list-item]
    assert not buckets.allows(buckets.cors(server.s3, bucket), "https://a.example")
    for origins in (["https://b.example"], ["https://a.example"]):
        buckets.set_cors(server.s3, bucket, buckets.wanted_cors(origins))
    rules = buckets.cors(server.s3, bucket)
    assert [rule["ID"] for rule in rules] == ["theirs", "vidrec"]
    assert buckets.allows(rules, "https://a.example")
    assert not buckets.allows(rules, "https://b.example")
    signed = S3Uploads(server.s3).sign_put(bucket, KEY, Conditions(), lifetime_s=60)
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    answer = httpx.options(signed.url, headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    sent = httpx.put(signed.url, content=b"film", headers={"Origin": "https://a.example"})
    assert "etag" in sent.headers["access-control-expose-headers"].lower()


def test_a_lifecycle_is_set_or_told_to_be_unknown(server: S3Server, bucket: str) -> None:
    try:
        buckets.set_lifecycle(server.s3, bucket, buckets.wanted_lifecycle())
    except buckets.NotKnown as error:
        pytest.skip(f"{server.name}: {error}")
    assert buckets.tidies(buckets.lifecycle(server.s3, bucket))


def test_a_store_that_is_away_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    s3 = S3(S3Options(endpoint=f"http://127.0.0.1:{free_port()}", region="us-east-1", path_style=True))
    store = S3Store(s3, "bucket", scratch=tmp_path)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.put("a", b"x")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        store.read("media:///a")
    s3.close()


def test_without_credentials_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3 = S3(S3Options(endpoint="http://127.0.0.1:1"))
    with pytest.raises(StoreUnavailable, match="AWS_ACCESS_KEY_ID"):
        S3Store(s3, "bucket", scratch=tmp_path).read("media:///a")
    s3.close()


PLACES = [
    *(Located("bucket", key) for key in ("a", "a/b.webm", "a b+?#%&=.webm", "떡볶이 🍲.webm", "%41", "/a", "a//b")),
    Located("bucket", "a", etag="abc-2"),
    Located("bucket", "a?etag=x", version="v/1+="),
]


@pytest.mark.parametrize("place", PLACES)
def test_locations_say_exactly_what_is_meant(place: Located) -> None:
    assert located(str(place)) == place


@pytest.mark.parametrize(
    "location", ["s3://", "s3://bucket", "s3://bucket/", "s3:///a", "http://a/b", "s3://b/k?x", ""]
)
def test_other_locations_are_refused(location: str) -> None:
    with pytest.raises(InvalidInput):
        located(location)
