"""Thumbnails, streams and downloads: Range requests, conditional requests, names, types."""

from __future__ import annotations

import os
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.library import MODEL
from tests.service.conftest import System
from vidrec.api.ranges import ByteRange, Unsatisfiable, matches, requested_range
from vidrec.domain.models import MediaInfo, NewVideo, Playback

DATA = bytes(range(256)) * 4
SIZE = len(DATA)


def add(system: System, filename: str = "clip.webm", data: bytes = DATA) -> str:
    path = system.folder / f"{len(os.listdir(system.folder))}.bin"
    path.write_bytes(data)
    with system.database.transaction() as uow:
        video_id: str = uow.catalogue.add(
            NewVideo(location=path.as_uri(), filename=filename, size_bytes=len(data), content_sha256="0" * 64)
        ).id
    return video_id


@pytest.fixture(scope="module")
def clip(shared: System) -> str:
    return add(shared)


def test_the_whole_file_is_sent_with_its_type_and_name(shared: System, clip: str) -> None:
    stream = shared.client.get(f"/videos/{clip}/stream")
    assert (stream.status_code, stream.content) == (200, DATA)
    assert stream.headers["Content-Type"] == "video/webm"
    assert stream.headers["Accept-Ranges"] == "bytes"
    assert stream.headers["Content-Length"] == str(SIZE)
    assert stream.headers["X-Content-Type-Options"] == "nosniff"
    assert stream.headers["Content-Disposition"].startswith("inline;")
    download = shared.client.get(f"/videos/{clip}/download")
    assert download.content == DATA
    assert download.headers["Content-Disposition"] == "attachment; filename=\"clip.webm\"; filename*=UTF-8''clip.webm"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=1000-", 1000, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        ("bytes=-5000", 0, SIZE - 1),
        ("bytes=500-99999999", 500, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
@pytest.mark.parametrize("route", ["stream", "download"])
def test_a_range_is_206(shared: System, clip: str, route: str, asked: str, start: int, end: int) -> None:
    response = shared.client.get(f"/videos/{clip}/{route}", headers={"Range": asked})
    assert response.status_code == 206
    assert response.content == DATA[start : end + 1]
    assert response.headers["Content-Range"] == f"bytes {start}-{end}/{SIZE}"
    assert response.headers["Content-Length"] == str(end - start + 1)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=999999-1000000", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(shared: System, clip: str, asked: str) -> None:
    response = shared.client.get(f"/videos/{clip}/stream", headers={"Range": asked})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "asked", ["bytes=9-3", "bytes=a-b", "pages=1-2", "bytes=0-1,5-6", "bytes=", "bytes=--1", "x" * 999]
)
def test_a_range_that_means_nothing_is_passed_over(shared: System, clip: str, asked: str) -> None:
    response = shared.client.get(f"/videos/{clip}/stream", headers={"Range": asked})
    assert (response.status_code, response.content) == (200, DATA)


def test_head_answers_the_headers_alone(shared: System, clip: str) -> None:
    whole = shared.client.head(f"/videos/{clip}/stream")
    assert (whole.status_code, whole.content, whole.headers["Content-Length"]) == (200, b"", str(SIZE))
    part = shared.client.head(f"/videos/{clip}/download", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content, part.headers["Content-Length"]) == (206, b"", "10")
    assert shared.client.head("/videos/external:nothing/stream").status_code == 404


def test_conditions_are_kept(shared: System, clip: str) -> None:
    address = f"/videos/{clip}/stream"
    etag = shared.client.get(address).headers["ETag"]
    assert shared.client.get(address, headers={"If-None-Match": etag}).status_code == 304
    assert shared.client.get(address, headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    assert shared.client.get(address, headers={"If-None-Match": '"x"'}).status_code == 200
    ranged = {"Range": "bytes=0-9"}
    assert shared.client.get(address, headers={**ranged, "If-Range": etag}).status_code == 206
    assert shared.client.get(address, headers={**ranged, "If-Range": '"old"'}).content == DATA
    assert shared.client.get(address, headers={**ranged, "If-Range": f"W/{etag}"}).status_code == 200


def test_a_changed_file_has_another_etag(system: System) -> None:
    video = add(system)
    before = system.client.get(f"/videos/{video}/stream").headers["ETag"]
    with system.database.snapshot() as uow:
        location = uow.catalogue.get([video])[video].location
    Path(unquote(location.removeprefix("file://"))).write_bytes(DATA + b"x")
    after = system.client.get(f"/videos/{video}/stream", headers={"Range": "bytes=0-3", "If-Range": before})
    assert (after.status_code, len(after.content)) == (200, SIZE + 1)


@pytest.mark.parametrize(
    "filename",
    [
        "떡볶이 🌶.webm",
        'quote"s; and\\more.webm',
        "100%.webm",
        "a\nb\r\nSet-Cookie: x=1.webm",
        "é.webm",
        "../../etc.webm",
    ],
)
def test_any_file_name_arrives_unharmed(shared: System, filename: str) -> None:
    response = shared.client.get(f"/videos/{add(shared, filename)}/download")
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    header = response.headers["Content-Disposition"]
    parsed = Message()
    parsed["Content-Disposition"] = header
    assert parsed.get_content_disposition() == "attachment"
    assert unquote(header.rpartition("filename*=UTF-8''")[2]) == filename


@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        ("a.MP4", "video/mp4"),
        ("a.mkv", "video/x-matroska"),
        ("a.mov", "video/quicktime"),
        ("a.ogv", "video/ogg"),
        ("a.avi", "video/x-msvideo"),
        ("a.html", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_type_follows_the_name_and_is_never_a_document(shared: System, filename: str, kind: str) -> None:
    response = shared.client.get(f"/videos/{add(shared, filename)}/stream")
    assert response.headers["Content-Type"] == kind


def test_a_large_file_is_sent_whole(shared: System) -> None:
    data = os.urandom(3_000_000)
    video = add(shared, data=data)
    assert shared.client.get(f"/videos/{video}/stream").content == data
    part = shared.client.get(f"/videos/{video}/stream", headers={"Range": "bytes=1000000-2999998"})
    assert part.content == data[1_000_000:2_999_999]


def test_an_empty_file_is_sent(shared: System) -> None:
    video = add(shared, data=b"")
    assert shared.client.get(f"/videos/{video}/stream").content == b""
    assert shared.client.get(f"/videos/{video}/stream", headers={"Range": "bytes=0-"}).status_code == 416


# ------------------------------------------------------------------------------------- what browsers play

COPY = b"a copy that plays" * 100


def indexed(
    system: System, filename: str, playback: Playback | None, *, container: str = "mov", codec: str = "hevc"
) -> str:
    """A video of DATA of which that is played; a copy is COPY."""
    video_id = add(system, filename)
    copy = system.folder / f"{video_id}.mp4"
    copy.write_bytes(COPY)
    media = MediaInfo(container=container, video_codec=codec, audio_codec="aac", width=640, height=360, duration_s=5.0)
    with system.database.transaction() as uow:
        uow.catalogue.mark_indexed(video_id, model_version="mtest00000000", media=media, segment_count=0)
        if playback is not None:
            rendition = copy.as_uri() if playback is Playback.RENDITION else None
            uow.catalogue.set_playback(video_id, playback, rendition)
    return video_id


def test_the_copy_is_played_and_the_original_downloaded(system: System) -> None:
    video = indexed(system, "phone.mov", Playback.RENDITION)
    stream = system.client.get(f"/videos/{video}/stream")
    assert (stream.status_code, stream.content) == (200, COPY)
    assert stream.headers["Content-Type"] == "video/mp4"
    assert stream.headers["Accept-Ranges"] == "bytes"
    assert stream.headers["Content-Disposition"].startswith('inline; filename="phone.mp4"')
    download = system.client.get(f"/videos/{video}/download")
    assert (download.content, download.headers["Content-Type"]) == (DATA, "video/quicktime")
    assert 'filename="phone.mov"' in download.headers["Content-Disposition"]
    assert download.headers["ETag"] != stream.headers["ETag"]


def test_the_copy_takes_ranges_and_conditions_of_its_own(system: System) -> None:
    video = indexed(system, "phone.mov", Playback.PREPARING)
    address = f"/videos/{video}/stream"
    before = system.client.get(address).headers["ETag"]
    with system.database.transaction() as uow:
        uow.catalogue.set_playback(video, Playback.RENDITION, (system.folder / f"{video}.mp4").as_uri())
    part = system.client.get(address, headers={"Range": "bytes=2-9"})
    assert (part.status_code, part.content) == (206, COPY[2:10])
    assert part.headers["Content-Range"] == f"bytes 2-9/{len(COPY)}"
    etag = part.headers["ETag"]
    assert etag != before
    assert system.client.get(address, headers={"If-None-Match": etag}).status_code == 304
    late = system.client.get(address, headers={"Range": "bytes=2-9", "If-Range": before})
    assert (late.status_code, late.content) == (200, COPY), "begun with the original, it begins again"
    head = system.client.head(address)
    assert (head.headers["Content-Length"], head.headers["Content-Type"]) == (str(len(COPY)), "video/mp4")


@pytest.mark.parametrize("playback", [None, Playback.PREPARING, Playback.FAILED])
def test_without_a_copy_the_original_is_sent(shared: System, playback: Playback | None) -> None:
    stream = shared.client.get(f"/videos/{indexed(shared, 'phone.mov', playback)}/stream")
    assert (stream.content, stream.headers["Content-Type"]) == (DATA, "video/quicktime")


@pytest.mark.parametrize(
    ("filename", "container", "kind"), [("a.bin", "webm", "video/webm"), ("film.MOV", "mp4", "video/mp4")]
)
def test_what_plays_is_called_what_it_is(shared: System, filename: str, container: str, kind: str) -> None:
    video = indexed(shared, filename, Playback.ORIGINAL, container=container)
    assert shared.client.get(f"/videos/{video}/stream").headers["Content-Type"] == kind


def test_a_copy_outlives_its_original(system: System) -> None:
    video = indexed(system, "phone.mov", Playback.RENDITION)
    with system.database.transaction() as uow:
        uow.catalogue.relocate(video, location="file:///gone.mov", filename="phone.mov", source_mtime_ns=None)
    assert system.client.get(f"/videos/{video}/stream").content == COPY
    assert system.client.get(f"/videos/{video}/download").status_code == 404


def test_a_copy_that_is_gone_is_404(system: System) -> None:
    video = indexed(system, "phone.mov", Playback.RENDITION)
    (system.folder / f"{video}.mp4").unlink()
    response = system.client.get(f"/videos/{video}/stream")
    assert (response.status_code, response.json()["detail"]) == (
        404,
        "the copy that plays of this video is not there any more",
    )


@pytest.mark.parametrize(
    ("playback", "told"),
    [
        (Playback.ORIGINAL, "yes"),
        (Playback.RENDITION, "yes"),
        (Playback.PREPARING, "preparing"),
        (Playback.FAILED, "no"),
        (None, "preparing"),
    ],
)
def test_the_catalogue_tells_whether_a_video_plays(shared: System, playback: Playback | None, told: str) -> None:
    video = indexed(shared, "phone.mov", playback)
    assert shared.get(f"/videos/{video}")["playable"] == told
    assert {v["id"]: v["playable"] for v in shared.get("/videos")["items"]}[video] == told


def test_recommendations_tell_whether_a_video_plays(system: System) -> None:
    video = system.library.families["sea"][1]
    with system.database.transaction() as uow:
        uow.catalogue.set_playback(video, Playback.PREPARING)
    system.encoder.target = system.library.index.videos(MODEL, [video])[video]
    found = system.client.post("/search/image?n=8", files={"file": b"picture"}).json()
    for answer in (
        system.get("/recommend", userid="new", n=100),
        system.get("/videos/external:sea-1/similar", n=7),
        found,
    ):
        told = {item["id"]: item["playable"] for item in answer["items"]}
        assert told.pop(video) == "preparing"
        assert set(told.values()) == {"yes"}


def test_an_original_that_is_gone_is_404(shared: System) -> None:
    response = shared.client.get("/videos/external:sea-1/download")
    assert response.status_code == 404
    assert "original" in response.json()["detail"]


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\xff\xd8\xffjpeg", "image/jpeg"), (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp")]
)
def test_thumbnails_are_pictures_with_etags(shared: System, data: bytes, kind: str) -> None:
    video = shared.library.families["city"][0]
    shared.store.put(f"pictures/{video}/thumbnail.jpg", data)
    address = "/videos/external:city-1/thumbnail"
    response = shared.client.get(address)
    assert (response.content, response.headers["Content-Type"]) == (data, kind)
    assert shared.client.get(address, headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    head = shared.client.head(address)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(data)))


def test_a_video_without_thumbnail_is_404(shared: System) -> None:
    assert shared.client.get("/videos/external:city-2/thumbnail").status_code == 404


def test_a_segment_is_shown_by_its_middle_picture(shared: System) -> None:
    video = shared.library.families["city"][2]
    shared.store.put(f"pictures/{video}/000001-0.jpg", b"first")
    assert shared.client.get("/videos/external:city-3/segments/1/picture").content == b"first"
    shared.store.put(f"pictures/{video}/000001-1.jpg", b"middle")
    assert shared.client.get("/videos/external:city-3/segments/1/picture").content == b"middle"
    for position, content in enumerate((b"first", b"middle", b"middle")):
        answer = shared.client.get(f"/videos/external:city-3/segments/1/picture?position={position}")
        assert answer.content == content
    assert shared.client.get("/videos/external:city-3/segments/1/picture?position=3").status_code == 422
    missing = shared.client.get("/videos/external:city-3/segments/2/picture")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no such picture")
    for number in ("-1", "x", "1000000"):
        assert shared.client.get(f"/videos/external:city-3/segments/{number}/picture").status_code == 422


def test_a_segment_is_shown_as_its_model_version_cut_it(shared: System) -> None:
    video = shared.library.families["city"][3]
    address = "/videos/external:city-4/segments/1/picture"
    shared.store.put(f"pictures/{video}/000001-0.jpg", b"kept before there were versions")
    assert shared.client.get(address).content == b"kept before there were versions"
    shared.store.put(f"pictures/{video}/mtest00000000/000001-0.jpg", b"active")
    shared.store.put(f"pictures/{video}/mnext00000000/000001-0.jpg", b"next")
    assert shared.client.get(address).content == b"active"
    assert shared.client.get(f"{address}?model=mnext00000000").content == b"next"
    assert shared.client.get(f"{address}?model=mgone00000000").status_code == 404
    assert shared.client.get(f"{address}?model=../x").status_code == 422


# --------------------------------------------------------------------------------------- pure functions


def test_ranges_of_nothing() -> None:
    assert requested_range(None, 0) is None
    for header in ("bytes=0-", "bytes=-1"):
        with pytest.raises(Unsatisfiable):
            requested_range(header, 0)
    assert requested_range("bytes=" + "9" * 30 + "-", 5) is None
    assert requested_range("bytes=1-2", 10) == ByteRange(1, 2)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, False), ("*", True), ('"a"', True), ('W/"a"', True), ('"b"', False)]
)
def test_etags_are_compared_weakly(header: Any, expected: bool) -> None:
    assert matches(header, '"a"') is expected
