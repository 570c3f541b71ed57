"""Take the pictures of the report and of the web page that the READMEs show.

    python -m tests.browser.screenshots REPORT.html

The report should be that of the built-in sample, whose photographs are free; the page shows one of its own
examples, colored by the base model. Writes reports/report.webp and reports/web_page.webp.
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests.ungray.page.visitor import Server

EXAMPLE = 2
"""Which of the page's examples is shown: the temple."""


def report(browser: Browser, path: Path) -> bytes:
    """Return a picture (PNG) of the top of the report at ``path``."""
    page = browser.new_context(viewport={"width": 1000, "height": 1200}, offline=True).new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_function("[...document.images].every(picture => picture.complete)")
    return page.screenshot()


def web_page(browser: Browser, address: str) -> bytes:
    """Return a picture (PNG) of the web page at ``address`` with an example, half gray and half colored."""
    page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
    page.goto(address)
    page.locator("#examples img").nth(EXAMPLE).click()
    expect(page.locator("#slider img")).to_have_count(2, timeout=120_000)
    page.wait_for_function("[...document.querySelectorAll('#slider img')].every(one => one.naturalWidth)")
    return page.screenshot(animations="disabled")


def main() -> None:
    """Take both."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None or len(sys.argv) != 2:
        sys.exit(__doc__ if program else "error: no chromium is installed")
    # Chromium's own sandbox needs a user that is not root.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        server = Server(Path(folder), "--model", "base")
        try:
            pictures = {
                "report": report(browser, Path(sys.argv[1])),
                "web_page": web_page(browser, server.address),
            }
        finally:
            server.stop()
            browser.close()
    for name, png in pictures.items():
        path = Path("reports", name).with_suffix(".webp")
        Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=80, method=6)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
