"""Pages of a server that asks for keys, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import NARROW, OpenPage, Watcher, opening, violations
from tests.systems import RunningSystem, keyed_api, new_key

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def keyed(demo: RunningSystem) -> Iterator[str]:
    with keyed_api(demo) as url:
        yield url


@pytest.fixture
def open_keyed(browser: Browser, keyed: str) -> Iterator[OpenPage]:
    """As `open_page`, of the server that asks for keys; refused keys are foreseen."""
    watcher = Watcher(keyed)
    watcher.expected = ["401"]
    with opening(browser, watcher) as open_:
        yield open_


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Your key").fill(key)
    page.keyboard.press("Enter")


def test_sign_in_watch_like_sign_out(open_keyed: OpenPage, demo: RunningSystem) -> None:
    page = open_keyed("/?user=signed-in")
    dialog = page.locator("#sign-in")
    expect(dialog).to_be_visible()
    expect(page.get_by_label("Your key")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    sign_in(page, "vr_wrong")
    expect(page.locator("#sign-in-problem")).to_have_text("This key is not known here, or it was revoked.")
    assert violations(page) == []
    sign_in(page, new_key(demo, "--role", "consumer"))
    expect(dialog).not_to_be_visible()
    first = page.locator("#list .card").first
    first.wait_for()
    page.wait_for_function("() => document.querySelector('#list .still').naturalWidth > 0")
    assert "signature=" in str(first.locator(".still").get_attribute("src"))
    first.locator('[data-do="like"]').click()
    expect(page.locator("h1")).to_have_text("For signed-in")
    page.locator("#list .play").nth(2).click()
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('play=')")  # one step back, which a reload would cut short
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("h1")).to_have_text("For signed-in")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()
    assert page.context.cookies() == []


def test_a_revoked_key_asks_again_and_goes_on(open_keyed: OpenPage, demo: RunningSystem) -> None:
    page = open_keyed("/?user=mina")
    old = new_key(demo, "--role", "consumer")
    sign_in(page, old)
    page.locator("#list .card").first.wait_for()
    assert demo.cli("keys", "revoke", old.split("_")[1]).returncode == 0
    page.wait_for_timeout(2500)  # for so long keys are believed
    page.locator("#q").fill("Flames")
    expect(page.locator("#sign-in")).to_be_visible()
    sign_in(page, new_key(demo, "--role", "consumer"))
    expect(page.locator("#list .card .title").first).to_contain_text("Flames")


def test_a_key_of_one_viewer_shows_that_viewer_alone(open_keyed: OpenPage, demo: RunningSystem) -> None:
    page = open_keyed("/?user=jun")
    sign_in(page, new_key(demo, "--role", "consumer", "--user", "sora"))
    expect(page.locator("h1")).to_have_text("For sora")
    expect(page.locator("#person")).to_be_disabled()
    expect(page.locator("#me")).to_have_text("sora")
    assert violations(page) == []


def test_a_producer_is_led_to_the_upload_page(open_keyed: OpenPage, demo: RunningSystem) -> None:
    page = open_keyed("/")
    sign_in(page, new_key(demo, "--role", "producer"))
    expect(page.locator("#sign-in-problem")).to_contain_text("This key is for uploading")
    page.locator("#sign-in-problem a").click()
    expect(page.locator("h1")).to_have_text("Upload videos")
    expect(page.locator("#sign-in")).to_have_count(0)
    page.get_by_label("Bucket").select_option("youtubepj-v3")
    assert violations(page) == []
    with page.expect_request("**/presigned_for_upload/upload/youtubepj-v3?*") as asked:
        page.locator("#files").set_input_files({"name": "no.webm", "mimeType": "video/webm", "buffer": b"no film"})
    answer = asked.value.response()
    assert answer is not None
    assert answer.status == 200
    expect(page.locator(".row-upload .stage")).to_contain_text("video", timeout=60_000)  # failed, as it should


def test_in_korean_on_a_phone(open_keyed: OpenPage) -> None:
    page = open_keyed("/upload", locale="ko-KR", viewport=NARROW, color_scheme="dark")
    expect(page.locator("#sign-in h2")).to_have_text("로그인")
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    page.locator("#sign-in-language").click()
    expect(page.locator("#sign-in h2")).to_have_text("Sign in")
