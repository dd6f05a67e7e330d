"""What every store for uploads does: the folder, buckets, and the fake of the unit tests. A store is reached as its
clients reach it: by PUT to an address that it signed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from botocore.exceptions import ClientError

from tests.fakes.uploads import FakeUploads
from tests.s3 import ANY, S3Server
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.local_uploads import IDLE_S, LocalUploads
from vidrec.adapters.s3 import S3Uploads
from vidrec.adapters.s3.removal import remove
from vidrec.application.ports import Conditions, SignedRequest, UploadReceiver, UploadStore
from vidrec.domain.errors import (
    AlreadyThere,
    Forbidden,
    InvalidInput,
    NotFound,
    StoreUnavailable,
    TooLarge,
    VidrecError,
)
from vidrec.domain.models import utc_now

BUCKET, KEY = "videos", "originals/1/original.webm"
DATA = bytes(range(256)) * 100
STATUS = {Forbidden: 403, NotFound: 404, AlreadyThere: 412, TooLarge: 413, InvalidInput: 422}


class Place(Protocol):
    """A store, and the way to it from outside."""

    store: UploadStore
    part_bytes: int
    """A size of parts that the store takes."""
    parts: Sequence[int]
    """Numbers of parts for an upload: they sort otherwise as texts."""
    altered: Sequence[tuple[str, str]]
    """What to replace in an address by what, so that it is altered."""

    def put(
        self, signed: SignedRequest, data: bytes, *, headers: Mapping[str, str] | None = None, url: str | None = None
    ) -> int:
        """Status of the answer to the signed request (or to another address) with this body."""
        ...

    def pass_time(self, seconds: float) -> None:
        """The store's clock goes on."""
        ...

    def read(self, key: str) -> bytes | None:
        """The object; None where there is none."""
        ...

    def leftovers(self) -> list[str]:
        """Names of all that is kept beside objects."""
        ...

    def needs(self, what: str) -> None:
        """Skips where the store cannot do that."""
        ...


class _Received:
    """A store whose addresses are answered in this process, without HTTP between."""

    part_bytes = 5000
    parts = range(1, 13)
    altered = (("/1/", "/2/"), ("videos/", "other/"), ("expires=", "expires=1"), ("signature=", "signature=1"))

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.receiver: UploadReceiver

    def needs(self, what: str) -> None:
        """They can do all."""

    def clock(self) -> datetime:
        return utc_now() + self.ahead

    def pass_time(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)

    def put(
        self, signed: SignedRequest, data: bytes, *, headers: Mapping[str, str] | None = None, url: str | None = None
    ) -> int:
        parts = urlsplit(url or signed.url)
        _, _, bucket, key = parts.path.split("/", 3)
        try:
            incoming = self.receiver.receive(
                bucket,
                key,
                dict(parse_qsl(parts.query)),
                content_type={**signed.headers, **(headers or {})}.get("Content-Type"),
                content_length=len(data),
                limit=1_000_000,
            )
            try:
                for start in range(0, len(data), 1000):
                    incoming.write(data[start : start + 1000])
                incoming.finish()
            finally:
                incoming.discard()
        except VidrecError as error:
            return next(status for kind, status in STATUS.items() if isinstance(error, kind))
        return 200


class Folder(_Received):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.root = folder / "media"
        self.store = self.receiver = LocalUploads(self.root, folder / "upload.secret", clock=self.clock)

    def read(self, key: str) -> bytes | None:
        try:
            return LocalStore(self.root).read(f"media:///{key}")
        except NotFound:
            return None

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.root / "~uploads").rglob("*")]


class Fake(_Received):
    def __init__(self) -> None:
        super().__init__()
        self.fake = self.store = self.receiver = FakeUploads(clock=self.clock)

    def read(self, key: str) -> bytes | None:
        return self.fake.objects.get(key)

    def leftovers(self) -> list[str]:
        return list(self.fake.pending)


class Bucket:
    """A real S3 server."""

    part_bytes = 5 << 20
    parts = (1, 2, 11)
    altered = (("/1/", "/2/"), (f"/{BUCKET}/", "/other/"), ("X-Amz-Expires=", "X-Amz-Expires=1"), ("ture=", "ture=1"))

    def __init__(self, server: S3Server) -> None:
        self.needs = server.needs
        self.s3 = server.s3
        self.store = S3Uploads(server.s3, places=[(BUCKET, "originals/")])
        with contextlib.suppress(ClientError):  # it is there already
            self.s3.client.create_bucket(Bucket=BUCKET)
        remove(self.s3.client, BUCKET, "")
        self.store.sweep(utc_now() + timedelta(days=1))

    def put(
        self, signed: SignedRequest, data: bytes, *, headers: Mapping[str, str] | None = None, url: str | None = None
    ) -> int:
        sent = {**signed.headers, **(headers or {}), "Content-Length": str(len(data))}
        return requests.put(url or signed.url, data=data, headers=sent, timeout=10).status_code

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def read(self, key: str) -> bytes | None:
        try:
            return self.s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except self.s3.client.exceptions.NoSuchKey:
            return None

    def leftovers(self) -> list[str]:
        with contextlib.suppress(ClientError):  # rclone's way to say that there are none
            return [u["UploadId"] for u in self.s3.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
        return []


KINDS = ["fake", "folder", *ANY]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, s3_of: Callable[[str], S3Server]) -> Iterator[Place]:
    if request.param == "fake":
        yield Fake()
    else:
        yield Folder(tmp_path) if request.param == "folder" else Bucket(s3_of(request.param))


def sign(place: Place, *, lifetime_s: float = 900, **conditions: object) -> SignedRequest:
    return place.store.sign_put(BUCKET, KEY, Conditions(**conditions), lifetime_s=lifetime_s)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ in one piece


def test_what_is_put_is_there(place: Place) -> None:
    assert place.store.stat(BUCKET, KEY) is None
    signed = sign(place)
    assert (signed.method, signed.headers) == ("PUT", {})
    assert abs((signed.expires_at - utc_now()).total_seconds() - 900) < 5
    assert place.put(signed, DATA) == 200
    found = place.store.stat(BUCKET, KEY)
    assert found is not None
    assert found.size == len(DATA)
    assert place.read(KEY) == DATA
    assert place.leftovers() == []


def test_the_media_store_reads_it_at_its_location(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.put(sign(place), DATA)
    store = LocalStore(place.root)
    assert store.read(place.store.location(BUCKET, KEY)) == DATA
    assert store.delete("originals/1/") == 1
    assert place.store.stat(BUCKET, KEY) is None


def test_any_content_type_goes_unless_one_is_signed(place: Place) -> None:
    assert place.put(sign(place), DATA, headers={"Content-Type": "text/plain"}) == 200


def test_what_is_signed_is_taken(place: Place) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    signed = sign(place, size=len(DATA), content_type="video/webm", sha256=digest, if_none_match=True)
    assert signed.headers["Content-Type"] == "video/webm"
    assert place.put(signed, DATA) == 200
    found = place.store.stat(BUCKET, KEY)
    assert found is not None
    assert found.sha256 in (None, digest)


@pytest.mark.parametrize(
    ("conditions", "headers"),
    [
        ({"size": len(DATA) - 1}, {}),
        ({"size": len(DATA) + 1}, {}),
        ({"sha256": "0" * 64}, {}),
        ({"content_type": "video/webm"}, {"Content-Type": "video/mp4"}),
    ],
)
def test_other_bytes_than_were_signed_leave_nothing(
    place: Place, conditions: dict[str, object], headers: dict[str, str]
) -> None:
    if "sha256" in conditions:
        place.needs("checksums")
    assert place.put(sign(place, **conditions), DATA, headers=headers) in (400, 403, 422)
    assert place.store.stat(BUCKET, KEY) is None
    assert place.leftovers() == []


def test_the_first_object_stays(place: Place) -> None:
    place.needs("If-None-Match")
    first, second = sign(place, if_none_match=True), sign(place, if_none_match=True)
    assert place.put(first, DATA) == 200
    before = place.store.stat(BUCKET, KEY)
    for signed in (first, second):
        assert place.put(signed, b"other") == 412
    assert place.store.stat(BUCKET, KEY) == before
    assert place.read(KEY) == DATA
    assert place.leftovers() == []


def test_an_address_expires(place: Place) -> None:
    signed = sign(place, lifetime_s=1)
    place.pass_time(2.1)
    assert place.put(signed, DATA) in (400, 403)
    assert place.store.stat(BUCKET, KEY) is None


def test_an_address_is_bound_to_its_key(place: Place) -> None:
    signed = sign(place)
    for old, new in place.altered:
        assert old in signed.url
        assert place.put(signed, DATA, url=signed.url.replace(old, new)) in (400, 403, 404)
    assert place.store.stat(BUCKET, KEY) is None


def test_delete_removes_the_object_and_is_safe_to_repeat(place: Place) -> None:
    place.put(sign(place), DATA)
    place.store.delete(BUCKET, KEY)
    place.store.delete(BUCKET, KEY)
    assert place.store.stat(BUCKET, KEY) is None


def test_those_that_are_there_are_found(place: Place) -> None:
    keys = [f"originals/{n:02d}/original.webm" for n in range(12)]
    for key in keys[3:9:2]:
        signed = place.store.sign_put(BUCKET, key, Conditions(), lifetime_s=900)
        assert place.put(signed, DATA) == 200
    found = place.store.find(BUCKET, list(reversed(keys)))
    assert {key: one.size for key, one in found.items()} == dict.fromkeys(keys[3:9:2], len(DATA))
    assert found[keys[3]] == place.store.stat(BUCKET, keys[3])
    assert place.store.find(BUCKET, []) == {}


# ---------------------------------------------------------------------------------------------- in parts


def send(place: Place, store_id: str, number: int, data: bytes) -> int:
    signed = place.store.sign_part(BUCKET, KEY, store_id, number, size=len(data), lifetime_s=900)
    return place.put(signed, data)


def test_parts_in_any_order_become_the_object(place: Place) -> None:
    place.needs("numbers of parts that leave some out")
    parts = {number: bytes([number]) * place.part_bytes for number in place.parts}
    store_id = place.store.begin(BUCKET, KEY)
    assert place.store.parts(BUCKET, KEY, store_id) == []
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: send(place, store_id, n, parts[n]), sorted(parts, key=lambda n: -n % 7)))
    assert set(answers) == {200}
    listed = place.store.parts(BUCKET, KEY, store_id)
    assert [(part.number, part.size) for part in listed] == [(number, place.part_bytes) for number in place.parts]
    assert place.store.stat(BUCKET, KEY) is None
    done = place.store.complete(BUCKET, KEY, store_id, listed)
    assert place.read(KEY) == b"".join(parts.values())
    assert place.store.stat(BUCKET, KEY) is not None
    again = place.store.complete(BUCKET, KEY, store_id, listed)
    assert (again.size, again.etag) == (done.size, done.etag) == (len(parts) * place.part_bytes, done.etag)
    assert place.leftovers() == []


def test_a_part_sent_again_replaces_itself(place: Place) -> None:
    place.needs("a part sent again")
    store_id = place.store.begin(BUCKET, KEY)
    assert [send(place, store_id, 1, data) for data in (b"aaa", b"bbb")] == [200, 200]
    [part] = place.store.parts(BUCKET, KEY, store_id)
    place.store.complete(BUCKET, KEY, store_id, [part])
    assert place.read(KEY) == b"bbb"


def test_a_part_of_another_length_is_refused(place: Place) -> None:
    store_id = place.store.begin(BUCKET, KEY)
    signed = place.store.sign_part(BUCKET, KEY, store_id, 1, size=10, lifetime_s=900)
    for data in (b"x" * 9, b"x" * 11):
        assert place.put(signed, data) in (400, 403, 422)
    assert place.store.parts(BUCKET, KEY, store_id) == []


def test_a_digest_that_is_not_so_makes_no_object(place: Place) -> None:
    if isinstance(place, Bucket):
        pytest.skip("an S3 store does not know the digest of parts together: whoever reads them compares it")
    store_id = place.store.begin(BUCKET, KEY)
    send(place, store_id, 1, b"aaa")
    parts = place.store.parts(BUCKET, KEY, store_id)
    with pytest.raises(InvalidInput, match="sha256"):
        place.store.complete(BUCKET, KEY, store_id, parts, sha256="0" * 64)
    assert place.store.stat(BUCKET, KEY) is None
    assert place.store.parts(BUCKET, KEY, store_id) == parts
    place.store.complete(BUCKET, KEY, store_id, parts, sha256=hashlib.sha256(b"aaa").hexdigest())


def test_what_was_aborted_is_gone(place: Place) -> None:
    store_id = place.store.begin(BUCKET, KEY)
    send(place, store_id, 1, b"aaa")
    signed = place.store.sign_part(BUCKET, KEY, store_id, 2, size=3, lifetime_s=900)
    parts = place.store.parts(BUCKET, KEY, store_id)
    for _ in range(2):
        place.store.abort(BUCKET, KEY, store_id)
    assert place.put(signed, b"bbb") == 404
    asks: list[Callable[[], object]] = [
        lambda: place.store.parts(BUCKET, KEY, store_id),
        lambda: place.store.complete(BUCKET, KEY, store_id, parts),
    ]
    for ask in asks:
        with pytest.raises(NotFound):
            ask()
    assert place.leftovers() == []


def test_a_sweep_leaves_what_is_young(place: Place) -> None:
    store_id = place.store.begin(BUCKET, KEY)
    send(place, store_id, 1, b"aaa")
    assert place.store.sweep(utc_now() - timedelta(hours=1)) == 0
    assert len(place.store.parts(BUCKET, KEY, store_id)) == 1
    assert place.store.sweep(utc_now() + timedelta(hours=1)) == 1
    with pytest.raises(NotFound):
        place.store.parts(BUCKET, KEY, store_id)


# -------------------------------------------------------------------------------------- the folder alone


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_secret_is_its_owners_alone_and_of_several_processes_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "upload.secret"
    code = (
        "import sys; from pathlib import Path; from vidrec.adapters.signing import Signer;"
        "print(Signer(Path(sys.argv[1])).sign('PUT', '/x', {}))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1
    assert [path.name for path in file.parent.iterdir()] == ["upload.secret"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 32


def receive(folder: Folder, signed: SignedRequest) -> object:
    query = dict(parse_qsl(urlsplit(signed.url).query))
    return folder.receiver.receive(BUCKET, KEY, query, content_type=None, content_length=None, limit=1000)


def test_what_comes_in_is_told_and_swept_when_nobody_writes_it(folder: Folder) -> None:
    assert not folder.store.receiving(BUCKET, KEY)
    incoming = receive(folder, sign(folder))
    assert folder.store.receiving(BUCKET, KEY)
    assert not folder.store.receiving(BUCKET, "originals/2/original.webm")
    assert folder.store.sweep(utc_now()) == 0
    [name] = folder.leftovers()
    old = time.time() - IDLE_S - 1
    os.utime(folder.root / "~uploads" / name, (old, old))
    assert not folder.store.receiving(BUCKET, KEY)
    assert folder.store.sweep(utc_now()) == 1
    assert folder.leftovers() == []
    incoming.discard()  # type: ignore[attr-defined]


def test_a_full_disk_is_a_store_that_does_not_answer(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming = receive(folder, sign(folder))
    incoming.write(b"x")  # type: ignore[attr-defined]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        incoming.finish()  # type: ignore[attr-defined]
    incoming.discard()  # type: ignore[attr-defined]
    assert folder.leftovers() == []
    assert folder.read(KEY) is None


@pytest.fixture
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_the_decoding_child_may_read_the_file(folder: Folder) -> None:
    folder.put(sign(folder), DATA)
    assert stat.S_IMODE((folder.root / KEY).stat().st_mode) == 0o644
