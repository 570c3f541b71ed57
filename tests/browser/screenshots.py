"""Take the pictures of the report, of the web page and of the watch page that the READMEs show.

    python -m tests.browser.screenshots [REPORT.html]

The report should be that of the built-in sample, whose photographs are free; the page shows one of its own
examples, colored by the base model, with three hints; the watch page shows the training in reports/train.
Writes reports/web_page.webp, reports/report.webp if there is a report, and reports/watch.webp if a training.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests.ungray.page.visitor import Server

EXAMPLE = 4
"""Which of the page's examples is shown: the cup."""

HINTS = ((0.73, 0.62, "#2f6f9f"), (0.34, 0.8, "#2f6f9f"), (0.9, 0.25, "#a0703c"))
"""Places, as parts of the photo's sides, and the colors that they get: the saucer twice, and the table."""


def report(browser: Browser, path: Path) -> bytes:
    """Return a picture (PNG) of the top of the report at ``path``."""
    page = browser.new_context(viewport={"width": 1000, "height": 1200}, offline=True).new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_function("[...document.images].every(picture => picture.complete)")
    return page.screenshot()


def web_page(browser: Browser, address: str) -> bytes:
    """Return a picture (PNG) of the web page at ``address``: an example, partly gray, with three hints."""
    page = browser.new_context(viewport={"width": 1200, "height": 820}).new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("#examples button").nth(EXAMPLE).click()
    expect(page.locator("#colored[src]")).to_be_visible(timeout=120_000)
    frame = page.locator("#frame").bounding_box()
    for x, y, color in HINTS:
        page.mouse.click(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])
        page.locator("#any").fill(color)
    page.locator("#divider").fill("28")
    expect(page.locator("#status")).to_be_empty(timeout=30_000)
    page.wait_for_timeout(1000)  # for the colors of the last hint
    return page.screenshot(animations="disabled")


def watch_page(browser: Browser) -> bytes:
    """Return a picture (PNG) of the top of the watch page."""
    command = [sys.executable, "-m", "stages.train", "watch", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().split(" at ")[1].split()[0]
            page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
            page.goto(address)
            expect(page.locator("#grid img")).not_to_have_js_property("naturalWidth", 0)
            return page.screenshot()
        finally:
            server.send_signal(signal.SIGINT)


def main() -> None:
    """Take them."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None or len(sys.argv) > 2:
        sys.exit(__doc__ if program else "error: no chromium is installed")
    # Chromium's own sandbox needs a user that is not root.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        server = Server(Path(folder), "--model", "base")
        try:
            pictures = {
                name: report(browser, Path(path))
                for name, path in zip(["report"], sys.argv[1:], strict=False)
            }
            pictures["web_page"] = web_page(browser, server.address)
            if Path("reports/train/plots/images").is_dir():
                pictures["watch"] = watch_page(browser)
        finally:
            server.stop()
            browser.close()
    for name, png in pictures.items():
        path = Path("reports", name).with_suffix(".webp")
        Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=80, method=6)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
