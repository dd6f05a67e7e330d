"""From a producer's file to a viewer's download, on both pages, with nothing played by the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, Watcher, saved
from tests.clips import ffmpeg
from tests.servers import wait_until
from tests.systems import RunningSystem, get
from vidrec.demo import clips

pytestmark = pytest.mark.full

NAME = "Tteokbokki 떡볶이.webm"
READY_MS = 60_000


def webm_like(demo: RunningSystem, family: str, target: Path) -> Path:
    """A webm of other bytes that shows what one clip of the family shows."""
    source = next(clip for clip in clips() if clip.family == family)
    ffmpeg(
        *("-i", demo.data / "demo" / source.path, "-vf", "hflip"),
        *("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "400k", target),
    )
    return target


def test_a_real_webm_goes_in_on_one_page_and_is_found_on_the_other(
    open_page: OpenPage,
    demo: RunningSystem,
    watched: Callable[..., None],
    told: Callable[[str], list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    clip = webm_like(demo, "fire", tmp_path / NAME)
    producer = open_page("/upload")
    producer.locator("#files").set_input_files(clip)
    row = producer.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text("Can be recommended now", timeout=READY_MS)
    video_id = str(row.locator(".watch").get_attribute("href")).partition("play=")[2]
    try:
        row.locator(".similar").click()
        expect(producer.locator("#list .card .title").first).to_contain_text("Flames")

        watched("a friend of fire", "fire")
        viewer = open_page("/?user=a friend of fire")
        card = viewer.locator(f'#list .card[data-id="{video_id}"]')
        expect(card.locator(".title")).to_have_text("Tteokbokki 떡볶이")
        expect(card.locator(".why")).to_contain_text("Flames")
        path = saved(viewer, card.locator("[data-do=download]").click, tmp_path / "saved")
        assert path.name == NAME
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(clip.read_bytes()).digest()
        card.locator(".play").first.click()
        viewer.wait_for_function("() => document.getElementById('video').currentTime > 0.5")
        viewer.locator("#player [data-do=like]").click()
        wait_until(lambda: {event["type"] for event in told("a friend of fire")} >= {"view", "like"})
        assert get(f"{demo.url}/videos/{video_id}").json()["filename"] == NAME
    finally:
        httpx.delete(f"{demo.url}/videos/{video_id}")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.webm", b"", "empty"),
        ("text.webm", b"this is no video, whatever its name says\n" * 50, "not a video"),
    ],
)
def test_a_bad_file_gets_a_clear_message(
    open_page: OpenPage, demo: RunningSystem, tmp_path: Path, watcher: Watcher, name: str, content: bytes, told: str
) -> None:
    watcher.expected = ["422"]
    path = tmp_path / name
    path.write_bytes(content)
    page = open_page("/upload")
    page.locator("#files").set_input_files(path)
    row = page.locator(".row-upload.failed")
    expect(row.locator(".stage")).to_contain_text(told, timeout=READY_MS, ignore_case=True)
    items: list[dict[str, Any]] = get(f"{demo.url}/videos", q=path.stem, limit=5).json()["items"]
    assert {item["status"] for item in items} <= {"failed"}
    for item in items:
        httpx.delete(f"{demo.url}/videos/{item['id']}")
