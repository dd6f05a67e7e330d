"""What every media store does: the fake, the folder and a bucket."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.store import FakeStore
from tests.s3 import ANY, S3Server
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.s3 import S3Store
from vidrec.application.ports import MediaStore
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable

KINDS = ["fake", "folder", *ANY]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, s3_of: Callable[[str], S3Server]) -> MediaStore:
    if request.param == "fake":
        return FakeStore()
    if request.param == "folder":
        return LocalStore(tmp_path / "not made yet" / "media")
    server = s3_of(request.param)
    return S3Store(server.s3, server.bucket(), "a prefix/of ours", scratch=tmp_path / "not made yet" / "scratch")


@pytest.mark.parametrize("data", [b"", b"\x00\xff bytes", b"x" * 3_000_000])
def test_what_is_put_is_read(store: MediaStore, data: bytes) -> None:
    location = store.put("videos/A-1_b.c/0.jpg", data)
    assert location == "media:///videos/A-1_b.c/0.jpg"
    assert store.read(location) == data
    assert store.size(location) == len(data)
    with store.local(location) as path:
        assert path.read_bytes() == data
    with store.original(location) as original:
        if not isinstance(original, Path):
            original.fill(0, len(data))
            original = original.path
        assert original.read_bytes() == data


def test_put_replaces(store: MediaStore) -> None:
    store.put("a/b", b"first")
    assert store.read(store.put("a/b", b"second")) == b"second"


@pytest.mark.parametrize("size", [0, 10, 3_500_000])
def test_a_file_is_put_whole_wherever_it_stands(store: MediaStore, size: int) -> None:
    store.put("a/b.mp4", b"before")
    data = os.urandom(size)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        location = store.put_file("a/b.mp4", file)
        assert location == "media:///a/b.mp4"
        assert store.read(location) == data
        assert store.read(store.put_file("a/again.mp4", file)) == data


BAD_KEYS = [
    *("", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b"),
    *("a b", "a\\b", "a%2e", "a\n", "ä", "~a", "a\0b", "a?b", "a#b"),
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_other_keys_are_refused(store: MediaStore, key: str) -> None:
    with pytest.raises(InvalidInput):
        store.put(key, b"")
    with pytest.raises(InvalidInput):
        store.put_file(key, io.BytesIO(b""))


@pytest.mark.parametrize("location", ["media:///nothing", "media:///nothing/here", "file:///no/such/file"])
def test_what_is_not_there_is_not_found(store: MediaStore, location: str) -> None:
    def use() -> None:
        with store.local(location):
            raise AssertionError

    actions: list[Callable[[], object]] = [lambda: store.read(location), lambda: store.size(location), use]
    for action in actions:
        with pytest.raises(NotFound):
            action()


NAMES = [
    *("plain.mp4", "with space.mp4", "100%.mp4", "%41.mp4", "ünï 漢字 🎬.mp4", "a#b?c&d.mp4", "a'\"b", "line\nbreak"),
    os.fsdecode(b"latin-\xe9.avi"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_in_place_whatever_its_name(store: MediaStore, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"film")
    location = file.as_uri()
    assert store.read(location) == b"film"
    assert store.size(location) == 4
    with store.local(location) as path:
        assert path == file
    assert file.read_bytes() == b"film"


def test_delete_removes_what_begins_with_the_prefix_alone(store: MediaStore, tmp_path: Path) -> None:
    file = tmp_path / "v1"
    file.write_bytes(b"the user's own")
    for key in ("v1/a", "v1/b/c", "v10/a", "v2/a"):
        store.put(key, b"x")
    assert (store.count("v1/"), store.count("v"), store.count("none/")) == (2, 4, 0)
    assert store.delete("v1/") == 2
    assert store.count("v1/") == 0
    assert store.delete("v1/") == 0
    assert store.read("media:///v10/a") == b"x"
    assert store.delete("v") == 2
    assert file.read_bytes() == b"the user's own"
    with pytest.raises(NotFound):
        store.read("media:///v1/b/c")


@pytest.fixture
def folder(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "media")


LOCATIONS = [
    *("media:///../x", "media:///a/../../x", "media:////etc/passwd", "media://host/a", "file://host/etc/passwd"),
    *("file:relative", "relative", "http://host/a", "s3://bucket/a", "", "file:///a%00b", "file:///a?b", "file:///a#b"),
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_other_locations_are_refused(folder: LocalStore, location: str) -> None:
    with pytest.raises(InvalidInput):
        folder.read(location)


@pytest.mark.parametrize("prefix", ["", "/", "../", "a/../", "/etc", "."])
def test_prefixes_that_are_not_the_start_of_a_key_are_refused(folder: LocalStore, prefix: str) -> None:
    folder.put("a/b", b"x")
    with pytest.raises(InvalidInput):
        folder.delete(prefix)
    assert folder.read("media:///a/b") == b"x"


def test_delete_leaves_no_empty_folders(folder: LocalStore, tmp_path: Path) -> None:
    folder.put("videos/1/frames/0.jpg", b"x")
    folder.put("videos/2/frames/0.jpg", b"x")
    folder.delete("videos/1/")
    assert [p.name for p in (tmp_path / "media" / "videos").iterdir()] == ["2"]


def test_a_folder_is_not_an_object(folder: LocalStore, tmp_path: Path) -> None:
    folder.put("a/b", b"x")
    for location in ("media:///a", tmp_path.as_uri()):
        with pytest.raises(NotFound):
            folder.read(location)


def test_readers_see_the_whole_old_or_the_whole_new_object(folder: LocalStore) -> None:
    versions = [bytes([i]) * 200_000 for i in range(40)]
    location = folder.put("a/b", versions[0])

    def read(_: int) -> bytes:
        return folder.read(location)

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(read, i) for i in range(200)]
        for version in versions:
            folder.put("a/b", version)
    assert all(done.result() in versions for done in reads)


def test_puts_and_deletes_of_the_same_folder_do_not_trip_each_other(folder: LocalStore) -> None:
    def put(i: int) -> str:
        return folder.put(f"video/{i}", b"x")

    with ThreadPoolExecutor(4) as pool:
        puts = [pool.submit(put, i) for i in range(300)]
        while not all(done.done() for done in puts):
            folder.delete("video/")
    assert all(done.result() for done in puts)


def test_a_failed_write_leaves_the_old_object_and_nothing_else(
    folder: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = folder.put("a/b", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        folder.put("a/b", b"new")
    assert folder.read(location) == b"old"
    assert [p.name for p in (tmp_path / "media" / "a").iterdir()] == ["b"]


class Watched(io.RawIOBase):
    """A large file of which little is read at a time; `during` is called at each read."""

    def __init__(self, size: int, during: Callable[[], object]) -> None:
        self._size = self._left = size
        self._during = during

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._left = self._size - offset
        return offset

    def read(self, size: int = -1) -> bytes:
        self._during()
        sent = min(self._left, size if size >= 0 else self._left)
        self._left -= sent
        return bytes(sent)


def test_a_file_that_is_being_put_is_not_seen(folder: LocalStore) -> None:
    location = folder.put("a/b", b"old")
    seen: list[bytes] = []
    folder.put_file("a/b", Watched(5 << 20, lambda: seen.append(folder.read(location))))  # type: ignore[arg-type]
    assert set(seen) == {b"old"}
    assert folder.size(location) == 5 << 20


def test_a_file_is_put_with_little_of_it_in_memory(folder: LocalStore) -> None:
    tracemalloc.start()
    try:
        folder.put_file("a/b", Watched(64 << 20, lambda: None))  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_read_to_its_end_leaves_the_old_object(folder: LocalStore, tmp_path: Path) -> None:
    location = folder.put("a/b", b"old")

    def broken() -> None:
        raise ValueError("the reader gave up")

    with pytest.raises(ValueError, match="gave up"):
        folder.put_file("a/b", Watched(10, broken))  # type: ignore[arg-type]
    assert folder.read(location) == b"old"
    assert [p.name for p in (tmp_path / "media" / "a").iterdir()] == ["b"]


def test_a_put_that_is_killed_leaves_nothing_that_is_seen(folder: LocalStore, tmp_path: Path) -> None:
    location = folder.put("a/b", b"old")
    program = f"""
import os, signal, sys
sys.path[:] = {sys.path!r}
from tests.contract.test_media_store import *
reads = iter(range(3))
def during():
    if next(reads, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
LocalStore(Path({str(tmp_path / "media")!r})).put_file("a/b", Watched(1 << 30, during))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert folder.read(location) == b"old"
    assert folder.sweep(datetime.now(UTC) - timedelta(days=1)) == 0  # it may still be written
    assert folder.sweep(datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert [p.name for p in (tmp_path / "media" / "a").iterdir()] == ["b"]
    assert folder.delete("a/") == 1


def test_a_sweep_leaves_what_was_put(store: MediaStore) -> None:
    location = store.put("a/b", b"x")
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
    assert store.read(location) == b"x"
