"""The whole way of a video with a real S3 server: no byte of it passes the API."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import requests

from tests.clips import VP9, draw
from tests.fakes.encoder import FakeEncoder
from tests.fakes.renderer import FakeRenderer
from tests.library import DIMENSION
from tests.s3 import VERSITY, S3Server
from tests.service.conftest import Start, System
from vidrec.adapters.ffmpeg import FfmpegFrameSource
from vidrec.adapters.s3 import S3Store, S3Uploads
from vidrec.application.arrival import Swept
from vidrec.application.upload import UploadPolicy
from vidrec.application.worker import Worker
from vidrec.client import Client, Details
from vidrec.domain.embedding import normalise
from vidrec.domain.models import Embeddings, Frames

SIGN = "/presigned_for_upload/upload/"
TOKEN = "notify me"
NAME = '떡볶이 🍲 "1".webm'


class NarrowEncoder(FakeEncoder):
    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        return normalise(super().encode(frames, model_version=model_version)[:, :DIMENSION])


@dataclass
class Shop:
    """A running API on a bucket."""

    system: System
    server: S3Server
    bucket: str
    store: S3Store

    def sign(self, filename: str = NAME, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.system.get(SIGN + self.bucket, filename=filename, **more)
        assert made["PresignedURL"].startswith(f"{self.server.server.uri}/{self.bucket}/originals/{made['video_id']}/")
        return made

    def key(self, video_id: str) -> str:
        return f"originals/{video_id}/original.webm"

    def notify(self, *keys: str, bucket: str | None = None) -> httpx.Response:
        """What an AWS bucket sends."""
        records = [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket or self.bucket}, "object": {"key": quote(key)}},
            }
            for key in keys
        ]
        return self.post({"Records": records})

    def post(self, body: Any, **headers: str) -> httpx.Response:
        sent = {"Authorization": f"Bearer {TOKEN}", **headers}
        return self.system.client.post("/notifications/s3", content=json.dumps(body), headers=sent)

    def video(self, video_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.system.get(f"/videos/{video_id}")
        return found

    def work(self) -> None:
        """Does all that waits."""
        worker = Worker(
            self.system.database,  # type: ignore[arg-type]
            self.system.queue,
            self.system.library.index,
            FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 2304),
            NarrowEncoder(),
            self.store,
            renderer=FakeRenderer(),
            poll_s=0.01,
        )
        worker.run(threading.Event(), until_empty=True)

    def objects(self) -> set[str]:
        listed = self.server.s3.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {one["Key"] for one in listed}


@pytest.fixture(params=[VERSITY])
def shop(
    request: pytest.FixtureRequest, s3_of: Callable[[str], S3Server], start_system: Start, tmp_path: Path
) -> Iterator[Shop]:
    server = s3_of(request.param)
    bucket = server.bucket()
    store = S3Store(server.s3, bucket, "media", upload_buckets=[bucket], scratch=tmp_path / "scratch")
    with start_system(
        tmp_path,
        media_store=store,
        upload_store=S3Uploads(server.s3, places=[(bucket, "originals/")]),
        upload_policy=UploadPolicy(buckets=(bucket,), suffixes=frozenset({".webm"}), max_bytes=20_000_000),
        notification_token=TOKEN,
        media_origins=server.s3.origins(),
        sns_topics=("arn:aws:sns:eu-west-1:1:ours",),
        families=(),
    ) as system:
        yield Shop(system, server, bucket, store)


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return draw(tmp_path_factory.mktemp("film") / "a.webm", *VP9, seconds=4).read_bytes()


def test_from_a_bare_put_to_the_bytes_again(shop: Shop, film: bytes) -> None:
    made = shop.sign()
    video_id = made["video_id"]
    assert (made["method"], made["headers"]) == ("PUT", {})
    assert requests.put(made["PresignedURL"], data=film, timeout=30).status_code == 200
    assert shop.video(video_id)["stage"] == "uploading"
    for _ in range(2):
        answer = shop.notify(shop.key(video_id), "originals/unknown/original.webm", shop.key(video_id))
        assert (answer.status_code, answer.json()) == (200, {"objects": 2})
    assert shop.video(video_id)["stage"] == "queued"
    shop.work()
    assert (shop.video(video_id)["stage"], shop.video(video_id)["playable"]) == ("indexed", "yes")
    with shop.system.database.snapshot() as uow:
        assert uow.catalogue.get([video_id])[video_id].content_sha256 == hashlib.sha256(film).hexdigest()
    assert f"media/pictures/{video_id}/thumbnail.jpg" in shop.objects()
    for what, kind in (("stream", "video/webm"), ("download", "video/webm"), ("thumbnail", "image/jpeg")):
        answer = shop.system.client.get(f"/videos/{video_id}/{what}")
        assert (answer.status_code, answer.content) == (302, b"")
        assert answer.headers["cache-control"] == "private, max-age=150"
        assert answer.headers["location"].startswith(f"{shop.server.server.uri}/{shop.bucket}/")
        there = httpx.get(answer.headers["location"], headers={"Range": "bytes=0-"})
        assert there.status_code in (200, 206)
        assert what == "thumbnail" or there.content == film
        assert there.headers["content-type"] == kind
    download = httpx.get(f"http://127.0.0.1:{shop.system.port}/videos/{video_id}/download", follow_redirects=True)
    assert download.headers["content-disposition"].endswith(f"filename*=UTF-8''{quote(NAME, safe='')}")
    head = shop.system.client.head(f"/videos/{video_id}/download", follow_redirects=True)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(film)))
    picture = shop.system.client.get(f"/videos/{video_id}/segments/0/picture?position=2", follow_redirects=True)
    assert picture.content[:2] == b"\xff\xd8"
    assert shop.system.client.get("/videos.zip", params={"video": video_id}).content[:2] == b"PK"
    assert list((shop.system.folder / "scratch").iterdir()) == []
    shop.system.client.delete(f"/videos/{video_id}")
    shop.work()
    assert shop.objects() == set()


@pytest.mark.full
def test_what_is_not_there_is_not_found_here_already(shop: Shop) -> None:
    made = shop.sign()
    for what in ("thumbnail", "stream", "download", "segments/3/picture"):
        assert shop.system.client.get(f"/videos/{made['video_id']}/{what}").status_code == 404


@pytest.mark.full
def test_pages_may_load_from_the_bucket(shop: Shop) -> None:
    policy = shop.system.client.get("/").headers["content-security-policy"]
    for directive in ("img-src 'self' data: blob:", "media-src 'self' blob:", "connect-src 'self'"):
        assert f"{directive} {shop.server.server.uri};" in policy


def test_our_own_clients_ask_that_the_first_object_stays(shop: Shop, film: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.webm"
    file.write_bytes(film)
    with Client(str(shop.system.client.base_url), state=tmp_path / "state") as client:
        video_id = client.upload(file, Details(bucket=shop.bucket))
    shop.notify(shop.key(video_id))
    with shop.system.database.snapshot() as uow:  # the store kept the digest that was signed
        assert uow.catalogue.get([video_id])[video_id].content_sha256 == hashlib.sha256(film).hexdigest()
    made = shop.sign(if_none_match="*")
    assert made["headers"] == {"If-None-Match": "*"}
    codes = [httpx.put(made["PresignedURL"], content=film, headers=made["headers"]).status_code for _ in range(2)]
    assert codes == [200, 412]


def test_a_later_object_is_not_taken_for_the_first(shop: Shop, film: bytes) -> None:
    made = shop.sign()
    video_id = made["video_id"]
    httpx.put(made["PresignedURL"], content=film)
    shop.notify(shop.key(video_id))
    httpx.put(made["PresignedURL"], content=b"something else")
    shop.notify(shop.key(video_id))
    shop.work()
    video = shop.video(video_id)
    assert (video["stage"], video["failure"]["reason"]) == ("failed", "missing")
    assert shop.system.client.get(f"/videos/{video_id}/download").status_code == 404


@pytest.mark.full
def test_where_versions_are_kept_the_first_object_is_shown(
    shop: Shop, film: bytes, start_system: Start, tmp_path: Path
) -> None:
    shop.server.s3.client.put_bucket_versioning(Bucket=shop.bucket, VersioningConfiguration={"Status": "Enabled"})
    made = shop.sign()
    httpx.put(made["PresignedURL"], content=film)
    shop.notify(shop.key(made["video_id"]))
    httpx.put(made["PresignedURL"], content=b"something else")
    shop.work()
    assert shop.video(made["video_id"])["stage"] == "indexed"
    download = shop.system.client.get(f"/videos/{made['video_id']}/download", follow_redirects=True)
    assert download.content == film


def test_the_sweep_finds_what_nobody_told(shop: Shop, film: bytes) -> None:
    made = [shop.sign() for _ in range(5)]
    for one in made[1:4:2]:
        httpx.put(one["PresignedURL"], content=film)
    assert shop.system.services.uploads.sweep() == Swept(arrived=2)
    assert shop.system.services.uploads.sweep() == Swept()
    assert [shop.video(one["video_id"])["stage"] for one in made] == [
        *("uploading", "queued", "uploading", "queued", "uploading")
    ]


def test_an_undeclared_file_over_the_limit_is_deleted_unprocessed(shop: Shop) -> None:
    made = shop.sign()
    for _ in range(2):  # the address still holds
        httpx.put(made["PresignedURL"], content=bytes(20_000_001))
        shop.notify(shop.key(made["video_id"]))
        video = shop.video(made["video_id"])
        assert (video["stage"], video["failure"]["reason"]) == ("failed", "too_large")
        assert shop.objects() == set()
    assert shop.system.queue.list() == []


@pytest.mark.full
def test_a_declared_size_is_signed(shop: Shop, film: bytes) -> None:
    refused = shop.system.client.get(SIGN + shop.bucket, params={"filename": "a.webm", "size": 20_000_001})
    assert refused.status_code == 413
    made = shop.sign(size=len(film), content_type="video/webm")
    assert (
        httpx.put(made["PresignedURL"], content=film + b"x", headers={"Content-Type": "video/webm"}).status_code == 403
    )
    assert httpx.put(made["PresignedURL"], content=film, headers={"Content-Type": "video/webm"}).status_code == 200


@pytest.mark.full
def test_parts_go_to_the_store_and_a_cut_is_gone_on_from(shop: Shop) -> None:
    data = bytes(range(256)) * (17 << 12)
    body = {"bucket": shop.bucket, "filename": NAME, "size": len(data), "sha256": "0" * 64}
    begun = shop.system.client.post("/uploads", json=body).json()
    path, size = f"/uploads/{begun['upload_id']}", begun["part_size"]
    numbers = list(range(1, -(-len(data) // size) + 1))

    def send(number: int) -> int:
        [part] = shop.system.client.post(f"{path}/parts", json={"numbers": [number]}).json()["parts"]
        return httpx.put(
            part["url"], content=data[(number - 1) * size : number * size], headers=part["headers"]
        ).status_code

    assert [send(number) for number in numbers[1:]] == [200] * (len(numbers) - 1)
    assert shop.system.client.post(f"{path}/complete").status_code == 409
    assert [part["number"] for part in shop.system.get(path)["parts"]] == numbers[1:]
    assert send(1) == 200
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda _: shop.system.client.post(f"{path}/complete").status_code, range(4)))
    assert set(codes) == {202}
    assert shop.store.read(f"s3://{shop.bucket}/{shop.key(begun['video_id'])}") == data
    assert [job.video_id for job in shop.system.queue.list()] == [begun["video_id"]]


def test_other_bytes_than_were_declared_are_noticed_where_they_are_read(shop: Shop, film: bytes) -> None:
    body = {"bucket": shop.bucket, "filename": NAME, "size": len(film), "sha256": "0" * 64}
    begun = shop.system.client.post("/uploads", json=body).json()
    [part] = shop.system.client.post(f"/uploads/{begun['upload_id']}/parts", json={"numbers": [1]}).json()["parts"]
    assert httpx.put(part["url"], content=film, headers=part["headers"]).status_code == 200
    assert shop.system.client.post(f"/uploads/{begun['upload_id']}/complete").status_code == 202
    shop.work()
    assert shop.video(begun["video_id"])["failure"]["reason"] == "other_bytes"


def test_notifications_need_the_token(shop: Shop, system: System) -> None:
    body = json.dumps({"Event": "s3:TestEvent"})
    post = shop.system.client.post
    assert post("/notifications/s3", content=body).status_code == 403
    assert post("/notifications/s3", content=body, headers={"Authorization": "Bearer no"}).status_code == 403
    assert post("/notifications/s3", content=body, params={"token": "nö"}).status_code == 403
    assert post("/notifications/s3", content=body, params={"token": TOKEN}).json() == {"objects": 0}
    assert system.client.post("/notifications/s3", content=body, params={"token": ""}).status_code == 404


@pytest.mark.full
def test_notifications_of_others_do_nothing(shop: Shop) -> None:
    assert shop.notify("a", bucket="another").status_code == 200
    assert shop.post({"Records": []}).json() == {"objects": 0}
    for body in ("text", {"Records": 5}):
        answer = shop.post(body)
        assert (answer.status_code, answer.json()["field"]) == (422, "body")


@pytest.mark.full
def test_subscriptions_are_confirmed_for_known_topics_at_amazon_alone(shop: Shop) -> None:
    asked = {"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:ours"}
    assert (
        shop.post({**asked, "TopicArn": "arn:other", "SubscribeURL": "https://sns.a.amazonaws.com/"}).status_code == 403
    )
    assert shop.post({**asked, "SubscribeURL": shop.server.server.uri}).status_code == 422
