"""What a viewer does on the page, in a real browser against the demo system."""

from __future__ import annotations

import csv
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Watcher, saved
from tests.servers import wait_until
from tests.systems import RunningSystem, get
from vidrec.demo.library import family_members

pytestmark = pytest.mark.full

Watched = Callable[..., None]
Told = Callable[[str], list[dict[str, Any]]]


def ids(page: Page) -> list[str]:
    return page.locator("#list .card").evaluate_all("nodes => nodes.map((n) => n.dataset.id)")


def loaded(page: Page) -> None:
    page.locator("#list[aria-busy=false] .card").first.wait_for()


def playing(page: Page, until: float) -> None:
    """Waits until it has played to this second: seeking there is not enough."""
    page.wait_for_function(
        """until => {
          const { played, currentTime } = document.getElementById('video');
          return currentTime >= until && played.length && played.end(played.length - 1) >= until;
        }""",
        arg=until,
    )


def press_play(page: Page) -> None:
    """Browsers let nothing play by itself where nobody clicked yet: on a page opened by its address."""
    page.wait_for_function("() => document.getElementById('video').readyState >= 2")
    page.evaluate("document.getElementById('video').play()")


def of_type(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def test_the_page_shows_what_the_api_recommends(open_page: OpenPage, demo: RunningSystem) -> None:
    page = open_page("/?user=sora")
    loaded(page)
    items = get(f"{demo.url}/recommend", userid="sora", n=24).json()["items"]
    assert ids(page)[:24] == [item["id"] for item in items]
    first = page.locator("#list .card").first
    expect(first.locator(".title")).to_have_text(items[0]["title"])
    expect(first.locator(".length")).to_have_text(f"00:0{round(items[0]['duration_s'])}")
    pictures = first.locator(".moments img")
    assert [pictures.nth(i).get_attribute("src") for i in range(2)] == [
        items[0]["why"]["watched"]["moment"]["picture"],
        items[0]["why"]["moment"]["picture"],
    ]


def test_it_plays_from_the_moment(
    open_page: OpenPage, demo: RunningSystem, watched: Watched, two_scenes: dict[str, Any]
) -> None:
    watched("browser-moment", "testcards", 5)
    page = open_page("/?user=browser-moment")
    card = page.locator(f'#list [data-id="{two_scenes["id"]}"]')
    expect(card.locator(".at")).to_have_text("▶ 00:08")
    card.locator(".play").click()
    playing(page, 8.3)
    start = page.evaluate("document.getElementById('video').played.start(0)")
    assert 7.5 <= start <= 8.5
    expect(page.locator("#player h2")).to_have_text("Two scenes 두 장면")
    assert f"play={two_scenes['id']}" in page.url
    page.keyboard.press("Escape")
    expect(page.locator("#player")).not_to_be_visible()
    page.wait_for_url(lambda url: "play=" not in url)
    page.go_forward()
    expect(page.locator("#player")).to_be_visible()


def test_the_watch_fraction_is_what_was_really_watched(
    open_page: OpenPage, told: Told, two_scenes: dict[str, Any]
) -> None:
    """Of 16 seconds about 1.5 are played at the start and as many near the end; what is sought over does not count."""
    user = "browser-fraction"
    page = open_page(f"/?user={user}&play={two_scenes['id']}")
    press_play(page)
    playing(page, 1.5)
    page.evaluate("document.getElementById('video').currentTime = 13")
    playing(page, 14.5)
    page.evaluate("document.getElementById('video').currentTime = 0.2")  # the start again: counts once
    page.wait_for_function("() => document.getElementById('video').currentTime < 5")
    played = page.evaluate("""() => {
      const { played } = document.getElementById('video');
      return Array.from({ length: played.length }, (_, i) => [played.start(i), played.end(i)]);
    }""")
    page.locator("#close").click()
    wait_until(lambda: bool(of_type(told(user), "watch")), timeout_s=10)
    [event] = of_type(told(user), "watch")
    assert event["video_id"] == two_scenes["id"]
    assert 0.12 <= event["fraction"] <= 0.5, (event["fraction"], played)
    assert event["fraction"] == pytest.approx(sum(end - start for start, end in played) / 16, abs=0.05)
    assert len(of_type(told(user), "view")) == 1


def test_what_was_watched_is_told_when_the_page_is_left(open_page: OpenPage, told: Told) -> None:
    user = "browser-leaver"
    page = open_page(f"/?user={user}")
    loaded(page)
    page.locator("#list .play").first.click()
    playing(page, 1.0)
    page.goto("/docs")
    wait_until(lambda: bool(of_type(told(user), "watch")), timeout_s=10)
    [event] = of_type(told(user), "watch")
    assert 0.1 < event["fraction"] < 1


def test_impressions_are_told_of_what_was_in_sight_for_a_second(open_page: OpenPage, told: Told) -> None:
    user = "browser-looker"
    page = open_page(f"/?user={user}")
    loaded(page)
    shown = ids(page)
    wait_until(lambda: len(of_type(told(user), "impression")) >= 4, timeout_s=10)
    time.sleep(1.5)
    events = of_type(told(user), "impression")
    assert {event["video_id"] for event in events} <= set(shown[:12])  # the rest is below the window
    assert len(events) == len({event["video_id"] for event in events})
    assert all(event["recommendation_id"] for event in events)


def test_liking_changes_the_list_at_once(open_page: OpenPage, told: Told, demo: RunningSystem) -> None:
    user = "browser-fan"
    page = open_page(f"/?user={user}")
    loaded(page)
    expect(page.locator("h1")).to_have_text("Popular and new")
    page.evaluate("window.here = true")
    for _ in range(2):
        button = page.locator('#list .card [data-do="like"][aria-pressed="false"]').first
        chosen = button.evaluate("node => node.closest('.card').dataset.id")
        button.click()
        card = page.locator(f'#list [data-id="{chosen}"]')
        expect(card.locator(".badge")).to_have_text("Liked")
        expect(card.locator('[data-do="like"]')).to_have_attribute("aria-pressed", "true")
        expect(page.locator("h1")).to_have_text(f"For {user}")
        loaded(page)
    expect(page.locator("#list")).to_contain_text("which you watched")
    assert page.evaluate("window.here"), "the page was loaded anew"
    assert len(of_type(told(user), "like")) == 2
    assert len(ids(page)) == len(set(ids(page)))


@pytest.mark.parametrize("deed", ["hide", "dislike"])
def test_what_is_not_wanted_goes_at_once(open_page: OpenPage, told: Told, deed: str) -> None:
    user = f"browser-{deed}"
    page = open_page(f"/?user={user}")
    loaded(page)
    first, second = ids(page)[:2]
    page.locator(f'#list .card [data-do="{deed}"]').first.click()
    expect(page.locator(f'#list [data-id="{first}"]')).to_have_count(0)
    assert ids(page)[0] == second
    assert len(of_type(told(user), deed)) == 1
    page.reload()
    loaded(page)
    assert first not in ids(page)


def test_a_like_that_is_not_taken_is_said_and_changes_nothing(open_page: OpenPage, watcher: Watcher) -> None:
    watcher.expected = ["503", "/events"]
    page = open_page("/?user=browser-refused")
    loaded(page)
    before = ids(page)
    page.route("**/events", lambda route: route.fulfill(status=503, json={"status": 503, "detail": "no"}))
    page.locator('#list .card [data-do="hide"]').first.click()
    expect(page.locator("#toast")).to_contain_text("does not answer")
    assert ids(page)[: len(before)] == before


def test_more_like_this(open_page: OpenPage, demo: RunningSystem) -> None:
    page = open_page("/?user=mina")
    loaded(page)
    title = page.locator("#list .title").first.inner_text()
    first = ids(page)[0]
    page.locator('#list .card [data-do="similar"]').first.click()
    expect(page.locator("h1")).to_have_text(f"Like “{title}”")
    loaded(page)
    items = get(f"{demo.url}/videos/{first}/similar", n=60).json()["items"]
    assert ids(page) == [item["id"] for item in items]
    expect(page.locator("#list .why").first).to_contain_text(title)
    page.locator("#back").click()
    expect(page.locator("h1")).to_have_text("For mina")
    page.go_back()
    expect(page.locator("h1")).to_have_text(f"Like “{title}”")


def test_search_by_title_answers_while_typing(open_page: OpenPage) -> None:
    page = open_page("/?user=mina")
    loaded(page)
    page.locator("#q").press_sequentially("wav", delay=60)
    expect(page.locator("h1")).to_have_text("“wav” in titles")
    expect(page.locator("#list .card")).to_have_count(5)
    assert {title.split()[0] for title in page.locator("#list .title").all_inner_texts()} == {"Waves"}
    page.locator("#q").fill("nothing is called that")
    expect(page.locator("#empty h2")).to_have_text("No title has “nothing is called that” in it")
    page.locator("#empty-do").click()
    expect(page.locator("h1")).to_have_text("For mina")
    expect(page.locator("#q")).to_have_value("")


def test_search_by_a_picture(open_page: OpenPage, demo: RunningSystem, tmp_path: Path) -> None:
    picture = tmp_path / "fire.jpg"
    picture.write_bytes(get(f"{demo.url}/videos/external:{family_members('fire')[0]}/thumbnail").content)
    page = open_page("/?user=mina")
    page.locator("#picture").set_input_files(picture)
    expect(page.locator("h1")).to_have_text("Like your picture")
    expect(page.locator("#list .title").first).to_contain_text("Flames")
    expect(page.locator("#list .why").first).to_contain_text("looks like your picture")
    expect(page.locator("#asked")).to_be_visible()


def test_a_file_that_is_no_picture_is_said(open_page: OpenPage, watcher: Watcher, tmp_path: Path) -> None:
    watcher.expected = ["422", "415"]
    (tmp_path / "note.png").write_text("this is no picture")
    page = open_page("/?user=mina")
    loaded(page)
    page.locator("#picture").set_input_files(tmp_path / "note.png")
    expect(page.locator("#failed")).to_contain_text("not a picture that can be read")


def test_search_by_the_frame_that_is_playing(open_page: OpenPage, two_scenes: dict[str, Any]) -> None:
    page = open_page(f"/?user=browser-frame&play={two_scenes['id']}&t=10")
    press_play(page)
    playing(page, 10.2)
    page.locator('#player [data-do="frame"]').click()
    expect(page.locator("h1")).to_have_text("Like this frame")
    expect(page.locator("#player")).not_to_be_visible()
    loaded(page)
    assert any("Test card" in title for title in page.locator("#list .title").all_inner_texts()[:4])


def test_scrolling_goes_on_without_repeats(open_page: OpenPage, demo: RunningSystem) -> None:
    page = open_page("/?user=browser-scroller")
    loaded(page)
    everything = len(get(f"{demo.url}/videos", limit=200, status="indexed").json()["items"])

    def all_there() -> bool:
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(100)
        return page.locator("#tail-text").inner_text() == "That is all."

    wait_until(all_there, timeout_s=30)
    found = ids(page)
    assert len(found) == len(set(found)) == everything
    expect(page.locator("#status")).to_have_text(f"{everything} videos")


def test_hovering_shows_frames_along_the_video(open_page: OpenPage) -> None:
    page = open_page("/?user=mina")
    loaded(page)
    play = page.locator("#list .play").first
    frame = play.locator(".frame")
    expect(frame).to_be_hidden()
    play.hover()
    expect(frame).to_be_visible()
    seen = set()
    for _ in range(20):
        seen.add(frame.get_attribute("src"))
        page.wait_for_timeout(150)
    assert len(seen) >= 2
    page.mouse.move(0, 0)
    expect(frame).to_be_hidden()


def test_the_list_is_saved_as_m3u_csv_and_zip(open_page: OpenPage, demo: RunningSystem, tmp_path: Path) -> None:
    page = open_page("/?user=jun")
    loaded(page)
    shown = page.locator("#list .title").all_inner_texts()
    playlist = saved(page, lambda: page.locator("#save-m3u").click(), tmp_path)
    lines = playlist.read_text().splitlines()
    assert (playlist.name, lines[0]) == ("vidrec-jun.m3u", "#EXTM3U")
    addresses = [line for line in lines if not line.startswith("#")]
    assert len(addresses) == len(shown)
    assert httpx.get(addresses[0], headers={"Range": "bytes=0-9"}).status_code == 206
    table = saved(page, lambda: page.locator("#save-csv").click(), tmp_path)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows] == shown
    assert rows[0]["why"] == "similar"
    archive = saved(page, lambda: page.locator("#save-zip").click(), tmp_path)
    with zipfile.ZipFile(archive) as found:
        assert found.testzip() is None
        assert len(found.namelist()) == len(shown)


def test_a_video_is_downloaded_byte_for_byte(open_page: OpenPage, demo: RunningSystem, tmp_path: Path) -> None:
    page = open_page("/?user=jun")
    loaded(page)
    original = get(f"{demo.url}/videos/{ids(page)[0]}/download").content
    path = saved(page, lambda: page.locator('#list .card [data-do="download"]').first.click(), tmp_path)
    assert path.read_bytes() == original


def test_another_user_by_choice_and_by_typing(open_page: OpenPage) -> None:
    page = open_page("/")
    expect(page.locator("h1")).to_have_text("For mina")  # the demo's first, where nobody was chosen before
    page.locator("#person").click()
    page.locator("#known button", has_text="sora").click()
    expect(page.locator("h1")).to_have_text("For sora")
    page.locator("#person").click()
    page.locator("#user").fill("유나 <b>")
    page.locator("#user").press("Enter")
    expect(page.locator("#me")).to_have_text("유나 <b>")
    expect(page.locator("h1")).to_have_text("Popular and new")
    page.goto("/")
    expect(page.locator("#me")).to_have_text("유나 <b>")  # remembered


def test_failed_slow_and_empty_are_designed(open_page: OpenPage, watcher: Watcher) -> None:
    watcher.expected = ["503", "ERR_FAILED"]
    page = open_page("/docs")
    page.route("**/recommend?*", lambda route: route.fulfill(status=503, json={"status": 503, "detail": "no"}))
    page.goto("/?user=mina")
    expect(page.locator("#failed")).to_contain_text("The server is busy")
    page.unroute("**/recommend?*")
    page.locator("#retry").click()
    loaded(page)
    expect(page.locator("#failed")).to_be_hidden()
    page.route("**/recommend?*", lambda route: route.abort())
    page.reload()
    expect(page.locator("#failed")).to_contain_text("does not answer")
    page.unroute("**/recommend?*")
    held: list[Any] = []
    page.route("**/recommend?*", lambda route: held.append(route))
    page.reload()
    expect(page.locator(".skeleton").first).to_be_visible()
    expect(page.locator("#status")).to_have_text("Still looking: this takes longer than usual.")
    empty = {"recommendation_id": "x", "userid": "mina", "strategy": "popular", "degraded": False, "model": None}
    held[0].fulfill(json={**empty, "notice": None, "items": [], "next_cursor": None})
    expect(page.locator("#empty h2")).to_have_text("No video here yet")
    expect(page.locator("#empty-do")).to_have_attribute("href", "/upload")


def test_a_page_that_fails_while_scrolling_can_be_had_again(open_page: OpenPage, watcher: Watcher) -> None:
    watcher.expected = ["/recommend", "503"]
    page = open_page("/?user=browser-again")
    loaded(page)
    page.route("**/recommend?*cursor*", lambda route: route.fulfill(status=503, json={"status": 503, "detail": "no"}))
    page.mouse.wheel(0, 9000)
    expect(page.locator("#tail-text")).to_contain_text("More could not be had")
    before = len(ids(page))
    page.unroute("**/recommend?*cursor*")
    page.locator("#more").click()
    page.wait_for_function("n => document.querySelectorAll('#list .card').length > n", arg=before)


def test_what_is_still_processed_shows_so(open_page: OpenPage, demo: RunningSystem) -> None:
    some = get(f"{demo.url}/videos", limit=1).json()["items"][0]
    waiting = {**some, "status": "processing", "title": "Arriving soon"}
    answers = {"processing": [waiting]}

    def answer(route: Any) -> None:
        status = next(s for s in ("uploading", "queued", "processing") if f"status={s}" in route.request.url)
        route.fulfill(json={"items": answers.get(status, []), "next_cursor": None})

    page = open_page("/docs")
    page.route("**/videos?status=*", answer)
    page.route("**/videos?q=*", lambda route: route.fulfill(json={"items": [waiting], "next_cursor": None}))
    page.goto("/?user=mina")
    expect(page.locator("#preparing")).to_contain_text("One more video is being looked into: Arriving soon")
    answers.clear()
    expect(page.locator("#preparing")).to_contain_text("A new video can be recommended now.")
    page.locator("#preparing-show").click()
    expect(page.locator("#preparing")).to_be_hidden()
    page.goto("/?user=mina&q=arriving")
    expect(page.locator("#list .badge")).to_have_text("Being looked into")


def test_a_file_that_the_browser_cannot_play_is_said(
    open_page: OpenPage, demo: RunningSystem, watcher: Watcher
) -> None:
    video = get(f"{demo.url}/videos", limit=1).json()["items"][0]
    page = open_page("/docs")
    page.route("**/stream", lambda route: route.fulfill(body="this is no video", content_type="video/webm"))
    page.goto(f"/?user=mina&play={video['id']}")
    expect(page.locator("#unplayable")).to_contain_text("Download it instead")


def test_nothing_is_kept_but_the_choices(open_page: OpenPage) -> None:
    page = open_page("/?user=mina")
    loaded(page)
    assert page.context.cookies() == []
    assert set(json.loads(page.evaluate("JSON.stringify(Object.keys(localStorage))"))) <= {
        "vidrec.users",
        "vidrec.language",
        "vidrec.theme",
        "vidrec.noticed",
    }
