"""Writes docs/images: both pages of a running demo at both widths. `make screenshots` runs it."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium, chromium_path
from tests.browser.store import Store
from tests.systems import get, running_system

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTHS = {1440: 900, 360: 780}
MOST_BYTES = 200_000
_PICTURES_ARE_THERE = """() => [...document.querySelectorAll('#list img:not([hidden])')]
  .every((image) => image.complete || image.getBoundingClientRect().top > innerHeight)"""


def main() -> int:
    """Exit code 1 where chromium is not installed."""
    if chromium_path() is None:
        sys.stderr.write("chromium is not here: make test-deps\n")
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder) / "data") as system:
        system.wait_until_filled()
        with chromium() as browser:
            for width, height in WIDTHS.items():
                _consumer(_page(browser, width, height, system.url), width)
                _producer(_page(browser, width, height, system.url), width, system.url, Path(folder))
    return 0


def _page(browser: Browser, width: int, height: int, url: str) -> Page:
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, locale="en-US", reduced_motion="reduce"
    )
    context.add_init_script("localStorage.setItem('vidrec.theme', innerWidth < 600 ? 'dark' : 'light')")
    return context.new_page()


def _consumer(page: Page, width: int) -> None:
    page.goto("/?user=sora")
    page.locator("#list[aria-busy=false] .card").first.wait_for()
    if page.locator("#notice").is_visible():
        page.locator("#notice-close").click()
        page.mouse.move(0, 0)
    page.wait_for_function(_PICTURES_ARE_THERE)
    page.wait_for_timeout(500)
    _write(page, f"consumer-{width}.png")
    page.context.close()


def _producer(page: Page, width: int, url: str, folder: Path) -> None:
    """Files on their way; the store is played (see store.py), so that each row stands at another stage."""
    videos = get(f"{url}/videos", limit=2, q="Waves").json()["items"]
    page.goto("/upload")
    names = ("Waves at dusk.webm", "Han River, one hour.mp4", "notes.txt")
    for name in names:
        (folder / name).write_bytes(bytes(1_400_000))
    store = Store(page, {**videos[0], "title": names[0]})
    page.locator("#files").set_input_files(folder / names[0])
    page.locator(".row-upload.ready").wait_for()
    page.unroute_all()
    store = Store(page, {**videos[1], "title": names[1]})
    store.stages = [{"status": "processing", "stage": "decoding", "progress": {"done": 1230, "total": 3600}}] * 2
    page.locator("#files").set_input_files([folder / names[1], folder / names[2]])
    page.get_by_text("20:30 of").wait_for()
    page.locator(".row-upload img").first.evaluate("(image) => image.decode()")
    _write(page, f"producer-{width}.png")
    page.context.close()


def _write(page: Page, name: str) -> None:
    """Fewer colours where it would be too large for a README."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        data = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() < MOST_BYTES:
            break
    (IMAGES / name).write_bytes(data.getvalue())
    sys.stdout.write(f"{name}: {data.tell() // 1000} kB, {colours} colours\n")


if __name__ == "__main__":
    raise SystemExit(main())
