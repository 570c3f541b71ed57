"""How long the page takes from a click on a photo to its new colors on the screen, in a real Chromium.

    python -m tests.benchmarks.clicks [--model MODEL] [--photo PHOTO] [--clicks 20]

Each click sets one more hint on a photo of 1280 pixels, or on PHOTO. The time begins with the click's event
and ends when the browser has drawn the answer. The first click is warming up. It prints medians over the
number of hints, the worker's steps, and the load of the machine, without which the figures say little: on a
busy one, run it at a priority of its own (`chrt -r 1 python -m …`, as root).
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from skimage import data

from tests.ungray.page.visitor import Server

STEPS = re.compile(r"(\w+);dur=([\d.]+)")


def sample() -> bytes:
    """Return a photograph of 1280x850 pixels, as JPEG."""
    written = io.BytesIO()
    Image.fromarray(data.chelsea()).resize((1280, 850)).save(written, "JPEG", quality=92)
    return written.getvalue()


def clicked(address: str, photo: bytes, clicks: int) -> pd.DataFrame:
    """Return one row per click: hints, milliseconds in the browser, and those of the worker's steps."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no chromium is installed")
    rng = np.random.default_rng(0)
    side = int(np.ceil((clicks + 1) ** 0.5))  # apart, since a click on a hint sets none
    grid = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * 2), axis=-1).reshape(-1, 2) / side
    places = 0.1 + 0.85 * rng.permutation(grid)[: clicks + 1]
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.set_input_files(
            "#files", files=[{"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo}]
        )
        page.wait_for_selector("#colored[src]")
        page.locator("#divider").fill("0")
        box = page.locator("#frame").bounding_box()
        assert box
        for number, (x, y) in enumerate(places, 1):
            page.wait_for_timeout(400)
            with page.expect_response("**/preview") as answered:
                page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            expect(page.locator(".point")).to_have_count(number)
            page.wait_for_timeout(300)
            spent = page.evaluate("() => performance.getEntriesByName('answer').at(-1).duration")
            steps = dict(STEPS.findall(answered.value.header_value("server-timing") or ""))
            rows.append(
                {"hints": number, "click to colors": spent}
                | {name: float(took) for name, took in steps.items()}
            )
        browser.close()
    return pd.DataFrame(rows[1:])


def main() -> None:
    """Run the benchmark."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("--model", default="base")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--clicks", type=int, default=20)
    chosen = parser.parse_args()
    photo = chosen.photo.read_bytes() if chosen.photo else sample()
    with tempfile.TemporaryDirectory() as top:
        server = Server(Path(top), "--model", chosen.model)
        try:
            rows = clicked(server.address, photo, chosen.clicks)
        finally:
            server.stop()
    rows["hints"] = pd.cut(rows["hints"], [0, 5, 10, 20, 1000], labels=["2-5", "6-10", "11-20", "more"])
    print(rows.groupby("hints", observed=True).median().round(1).to_string())
    print(f"median of all: {statistics.median(rows['click to colors']):.0f} ms from a click to its colors")
    print("load averages:", *(f"{one:.1f}" for one in os.getloadavg()), "| cores:", os.cpu_count())


if __name__ == "__main__":
    main()
