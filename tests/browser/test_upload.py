"""The producer's page, in a real browser. The store and the stages are played by the test; the videos are real ones of
the demo system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, WIDE, OpenPage, Watcher, violations
from tests.browser.store import Store
from tests.systems import RunningSystem, get

pytestmark = pytest.mark.full


@pytest.fixture
def video(demo: RunningSystem) -> dict[str, Any]:
    """A video of the demo, as if it had just been uploaded."""
    return dict(get(f"{demo.url}/videos", limit=1, q="Waves").json()["items"][0])


@pytest.fixture
def opened(open_page: OpenPage, video: dict[str, Any]) -> Callable[..., tuple[Page, Store]]:
    def open_(**options: Any) -> tuple[Page, Store]:
        page = open_page("/upload", **options)
        return page, Store(page, video)

    return open_


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "Tteokbokki 떡볶이.webm"
    path.write_bytes(b"\x1aE\xdf\xa3" + bytes(200_000))
    return path


def test_a_file_goes_in_and_can_be_watched(opened: Any, clip: Path, video: dict[str, Any]) -> None:
    page, store = opened()
    page.locator("#files").set_input_files(clip)
    row = page.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text("Can be recommended now")
    expect(page.locator("#summary")).to_have_text("1 of 1 can be recommended")
    expect(row.locator(".thumb img")).to_be_visible()
    assert store.asked == ["presigned", "whole"]
    row.locator(".watch").click()
    expect(page.locator("#player h2")).to_have_text(video["title"])


def test_stages_are_asked_for_where_they_are_not_streamed(opened: Any, clip: Path, watcher: Watcher) -> None:
    watcher.expected = ["404", "/events", "EventSource"]
    page, store = opened()
    store.streams = False
    page.locator("#files").set_input_files(clip)
    state = page.locator(".row-upload .stage")
    expect(state).to_have_text("Looking into it: 00:01 of 00:04")
    expect(state).to_have_text("Can be recommended now", timeout=10_000)


def test_several_files_by_drag_and_drop(opened: Any, clip: Path) -> None:
    page, _ = opened()
    transfer = page.evaluate_handle("""() => {
      const transfer = new DataTransfer();
      for (const name of ['one.webm', 'two.mp4', 'three.mkv', 'notes.txt']) {
        transfer.items.add(new File(['x'.repeat(9)], name));
      }
      transfer.items.add(new File([], 'nothing.webm'));
      return transfer;
    }""")
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("drop over")
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("drop")
    expect(page.locator(".row-upload.ready")).to_have_count(3)
    expect(page.locator("#summary")).to_have_text("3 of 5 can be recommended")
    failed = page.locator(".row-upload.failed .stage")
    expect(failed.nth(0)).to_contain_text("Only webm, mp4")
    expect(failed.nth(1)).to_have_text("This file is empty.")


def test_what_the_server_refuses_is_said_and_can_be_tried_again(opened: Any, clip: Path, watcher: Watcher) -> None:
    watcher.expected = ["422", "presigned"]
    page, store = opened()
    store.refuse["presigned"] = [422]
    page.locator("#files").set_input_files(clip)
    row = page.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text("the store says 422")
    row.locator(".retry").click()
    expect(row.locator(".stage")).to_have_text("Can be recommended now")


def test_what_the_network_broke_is_tried_again_by_itself(opened: Any, clip: Path, watcher: Watcher) -> None:
    watcher.expected = ["503", "/store/"]
    page, store = opened()
    store.refuse["whole"] = [503]
    page.locator("#files").set_input_files(clip)
    state = page.locator(".row-upload .stage")
    expect(state).to_have_text("Trying again in 1 s…")
    expect(state).to_have_text("Can be recommended now")
    assert store.asked == ["presigned", "whole", "presigned", "whole"]  # never twice to one URL


def test_a_large_file_goes_in_parts_and_on_from_what_is_there(opened: Any, tmp_path: Path, watcher: Watcher) -> None:
    watcher.expected = ["400", "/store/"]
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(70 << 20)
    page, store = opened()
    store.refuse["2"] = [400]
    page.locator("#files").set_input_files(path)
    row = page.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text("the store says 400", timeout=30_000)
    page.wait_for_timeout(1500)
    first = len(store.asked)
    assert "complete" not in store.asked
    row.locator(".retry").click()
    expect(row.locator(".stage")).to_have_text("Can be recommended now", timeout=30_000)
    assert store.asked.count("create") == 1
    assert set(store.asked[first:]) == {"2", "complete"}
    assert {store.asked.count(part) for part in ("1", "3")} == {1}


def test_what_cannot_be_read_says_why(opened: Any, clip: Path) -> None:
    page, store = opened()
    failure = {"reason": "not_a_video", "message": "This is not a video: its first bytes are text."}
    store.stages = [{"status": "failed", "stage": "failed", "progress": None, "failure": failure}]
    page.locator("#files").set_input_files(clip)
    row = page.locator(".row-upload")
    expect(row.locator(".stage")).to_have_text(failure["message"])
    row.locator(".end").click()
    expect(page.locator("#uploads")).to_be_hidden()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Any, clip: Path, viewport: Any, scheme: Any) -> None:
    page, _ = opened(viewport=viewport, color_scheme=scheme)
    assert violations(page) == []
    text = clip.with_name("notes.txt")
    text.write_text("no video")
    page.locator("#files").set_input_files([clip, text])
    expect(page.locator(".row-upload.ready")).to_have_count(1)
    expect(page.locator(".row-upload.failed")).to_have_count(1)
    assert violations(page) == []
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_korean(opened: Any, clip: Path) -> None:
    page, _ = opened(locale="ko-KR")
    expect(page.locator("h1")).to_have_text("동영상 업로드")
    page.locator("#files").set_input_files(clip)
    expect(page.locator(".row-upload .stage")).to_have_text("이제 추천될 수 있습니다")
    expect(page.locator(".row-upload .watch")).to_have_text("시청하기")
    page.locator("#language").click()
    expect(page.locator(".row-upload .stage")).to_have_text("Can be recommended now")
