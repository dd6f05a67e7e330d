"""The viewer's page in a real browser, in short: it is in every test run where chromium is installed."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage


def test_it_recommends_and_plays(open_page: OpenPage) -> None:
    page = open_page("/?user=mina")
    expect(page.locator("h1")).to_have_text("For mina")
    expect(page.locator("#list .card").first.locator(".why")).to_contain_text("which you watched")
    page.locator("#list .play").first.click()
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
    expect(page.locator("#player h2")).not_to_be_empty()


def test_the_upload_page_opens(open_page: OpenPage) -> None:
    page = open_page("/upload")
    expect(page.locator("h1")).to_have_text("Upload videos")
