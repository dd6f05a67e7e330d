"""For everybody: small windows, keyboards, screen readers, dark and light, English and Korean."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, WIDE, OpenPage, violations

pytestmark = pytest.mark.full


def fits(page: Page) -> None:
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "it scrolls sideways"


def loaded(page: Page) -> None:
    page.locator("#list[aria-busy=false] .card").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious(open_page: OpenPage, viewport: Any, scheme: Any) -> None:
    page = open_page("/?user=mina", viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    loaded(page)
    fits(page)
    assert violations(page) == []
    page.locator("#person").click()
    expect(page.locator("#people")).to_be_visible()
    fits(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator('#list [data-do="like"]').nth(3).evaluate("node => node.setAttribute('aria-pressed', 'true')")
    page.locator("#list .play").first.click()
    page.locator("#next-list li").first.wait_for()
    fits(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "play=" not in url)
    page.goto("/?user=mina&q=nothing+like+that")
    expect(page.locator("#empty")).to_be_visible()
    fits(page)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_as_dark_as_the_system_or_as_chosen(open_page: OpenPage, scheme: Any) -> None:
    page = open_page("/?user=mina", color_scheme=scheme)

    def is_dark() -> bool:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(",")) < 200

    assert is_dark() == (scheme == "dark")
    page.locator("#theme").click()
    assert is_dark() == (scheme == "light")
    page.reload()
    assert is_dark() == (scheme == "light")


def test_korean_by_the_browsers_language_and_english_by_choice(open_page: OpenPage) -> None:
    page = open_page("/?user=mina", locale="ko-KR", viewport=NARROW)
    loaded(page)
    fits(page)
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("h1")).to_have_text("mina 님을 위한 추천")
    expect(page.locator("#list .why").first).to_contain_text("장면과 비슷해요")
    expect(page.locator('#list [data-do="hide"]').first).to_have_attribute("title", "관심 없음")
    assert violations(page) == []
    page.locator("#language").click()
    expect(page.locator("h1")).to_have_text("For mina")
    expect(page.locator("#list .why").first).to_contain_text("which you watched")
    page.reload()
    expect(page.locator("h1")).to_have_text("For mina")


def test_every_word_is_there_in_both_languages(open_page: OpenPage) -> None:
    page = open_page("/docs")
    words = page.evaluate(
        "import('/web/words.js').then(({ WORDS }) => Object.entries(WORDS).map(([l, w]) => [l, Object.keys(w).sort()]))"
    )
    assert dict(words)["en"] == dict(words)["ko"]


def test_with_the_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/?user=browser-keys")
    loaded(page)

    def focused(script: str) -> Any:
        return page.evaluate(f"(() => {{ const node = document.activeElement; return {script}; }})()")

    page.keyboard.press("Tab")
    if focused("node === document.body"):  # where the window had no focus yet
        page.keyboard.press("Tab")
    assert focused("node.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused("node.className") == "play"
    cards = page.locator("#list .card")
    page.keyboard.press("ArrowRight")
    assert focused("node.closest('.card').dataset.id") == cards.nth(1).get_attribute("data-id")
    page.keyboard.press("ArrowDown")
    assert focused("node.closest('.card').dataset.id") == cards.nth(5).get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(page.locator("#player")).to_be_visible()
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.1")
    assert focused("node.id") == "video"
    for _ in range(12):  # from the video's own controls to the first button
        page.keyboard.press("Tab")
        if focused("node.dataset.do") == "like":
            break
    page.keyboard.press("Enter")
    expect(page.locator('#player [data-do="like"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#toast-player")).to_contain_text("Liked")
    page.keyboard.press("Escape")
    expect(page.locator("#player")).not_to_be_visible()
    assert focused("node.className") == "play"  # back where it was
    page.keyboard.press("Tab")
    hidden = focused("node.closest('.card').dataset.id")
    for _ in range(6):
        if focused("node.dataset.do") == "hide":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f'#list [data-id="{hidden}"]')).to_have_count(0)
    assert focused("node.dataset.do") == "hide"  # of the card that took its place
    expect(page.locator("#toast")).to_contain_text("will not be shown again")


def test_with_half_the_text_size_more_it_still_fits(open_page: OpenPage) -> None:
    page = open_page("/?user=mina", viewport=NARROW)
    page.evaluate("document.documentElement.style.fontSize = '150%'")
    loaded(page)
    fits(page)
