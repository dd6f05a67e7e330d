"""A browser, and pages that must not go wrong behind the viewer's back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, Response, expect

from tests.browser.chromium import chromium, chromium_path
from tests.clips import ffmpeg
from tests.systems import RunningSystem
from vidrec.demo.library import family_members

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
OpenPage = Callable[..., Page]
_UNTIL_STILL = """() => Promise.allSettled(document.getAnimations()
  .filter((a) => Number.isFinite(a.effect.getComputedTiming().endTime)).map((a) => a.finished))"""
PATIENCE_MS = 15_000  # on a machine that does much else

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium; the test is skipped where it is not installed."""
    if chromium_path() is None:
        pytest.skip("chromium is not here: make test-deps")
    with chromium() as browser:
        yield browser


class Watcher:
    """Collects what a page does wrong: errors in its console, requests to elsewhere, answers that are failures."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.wrong: list[str] = []
        self.expected: list[str] = []
        """Parts of texts that a test foresees."""

    def watch(self, page: Page) -> None:
        page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"thrown: {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.wrong.append(f"third party: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"answer {response.status}: {response.url}")

    def check(self) -> None:
        assert [text for text in self.wrong if not any(part in text for part in self.expected)] == []


@pytest.fixture
def watcher(demo: RunningSystem) -> Watcher:
    return Watcher(demo.url)


@contextmanager
def opening(browser: Browser, watcher: Watcher) -> Iterator[OpenPage]:
    """Gives what opens a path of the watcher's origin in a browser that has never been there; options as of
    Playwright's contexts. At the end nothing may have gone wrong that was not foreseen."""
    contexts = []

    def open_(path: str = "/", *, init: str = "", **options: Any) -> Page:
        context = browser.new_context(base_url=watcher.origin, **{"viewport": WIDE, "locale": "en-US", **options})
        contexts.append(context)
        if init:
            context.add_init_script(init)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        watcher.watch(page)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    watcher.check()


@pytest.fixture
def open_page(browser: Browser, watcher: Watcher) -> Iterator[OpenPage]:
    """Opens pages of the demo, see `opening`."""
    with opening(browser, watcher) as open_:
        yield open_


@pytest.fixture(scope="session")
def two_scenes(demo: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A video whose second scene, from 00:08, looks like the demo's test cards; gone when the tests are done."""
    path = tmp_path_factory.mktemp("clips") / "Two scenes 두 장면.webm"
    sources = ("mandelbrot=size=320x180:rate=12,trim=duration=8,setpts=PTS-STARTPTS", "smptebars=size=320x180:rate=12")
    ffmpeg(
        *("-f", "lavfi", "-i", sources[0], "-f", "lavfi", "-i", f"{sources[1]}:duration=8"),
        *("-filter_complex", "[0][1]concat=n=2", "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "300k", path),
    )
    done = demo.cli("ingest", str(path), "--json")
    assert done.returncode == 0, done.stderr
    [video] = httpx.get(f"{demo.url}/videos", params={"q": "Two scenes"}).json()["items"]
    yield video
    httpx.delete(f"{demo.url}/videos/{video['id']}")


@pytest.fixture
def watched(demo: RunningSystem) -> Callable[..., None]:
    """Tells that a user watched members of a demo family."""

    def watch(user: str, family: str, count: int = 2) -> None:
        events = [
            {"user_id": user, "external_id": member, "type": "watch", "fraction": 1.0}
            for member in family_members(family)[:count]
        ]
        assert httpx.post(f"{demo.url}/events", json=events).status_code == 202

    return watch


@pytest.fixture
def told(demo: RunningSystem) -> Callable[[str], list[dict[str, Any]]]:
    """The events of a user that arrived in the SQL store, in order."""
    import sqlite3

    def read(user: str) -> list[dict[str, Any]]:
        base = sqlite3.connect(f"file:{demo.data / 'vidrec.db'}?mode=ro", uri=True)
        try:
            base.row_factory = sqlite3.Row
            rows = base.execute("SELECT * FROM interactions WHERE user_id = ? ORDER BY rowid", (user,)).fetchall()
            return [dict(row) for row in rows]
        finally:
            base.close()

    return read


def violations(page: Page) -> list[str]:
    """What axe finds that is serious or critical, as `rule: selector`, once nothing fades in any more."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(_UNTIL_STILL)
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {json.dumps(node['target'])} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def saved(page: Page, click: Callable[[], None], folder: Path) -> Path:
    """The file that a click downloads."""
    with page.expect_download() as download:
        click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path
