"""A film on the page of `colorize serve`, in a real Chromium: dropped, colored, played, downloaded."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.ungray.film.conftest import pictures, read_film, write_film
from tests.ungray.page.conftest import write_model
from tests.ungray.page.visitor import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    top = tmp_path_factory.mktemp("film page")
    write_model(top / "model.onnx", seed=2, hints=True)
    server = Server(top, "--model", top / "model.onnx")
    yield server
    server.stop()


def wrong(said):
    # Chromium reports as an error what the server refuses; the page tells it in a sentence.
    return said.type == "error" and "Failed to load resource" not in said.text


@pytest.fixture
def page(chromium, server):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if wrong(said) else None)
    page.goto(server.address)
    expect(page.locator("#film-limits")).to_contain_text("up to 50 MB, 20 seconds")
    yield page
    context.close()
    assert complaints == []


PLAYED = """async () => {
  const video = document.querySelector("#films video");
  await video.play();
  const later = () => new Promise((done) => video.addEventListener("timeupdate", done, { once: true }));
  while (video.currentTime <= 0.5) await later();
  video.pause();
  return video.currentTime;
}"""


JUMPED = """async () => {
  const video = document.querySelector("#films video");
  video.controls = false;
  const there = new Promise((done) => video.addEventListener("seeked", done, { once: true }));
  video.currentTime = 1.02; // the frame of 1.00 s
  await there;
}"""


def screen(page):
    """The player as it is displayed."""
    return np.asarray(Image.open(io.BytesIO(page.locator(".screen").screenshot())).convert("RGB")).astype(int)


def chroma(page, part):
    """How colored a part of the player is: 0.1 is the left tenth."""
    shot = screen(page)
    height, width = shot.shape[:2]
    place = int(part * width)
    # The middle: neither the player's buttons nor its edges.
    return np.ptp(shot[height // 4 : height // 2, place - 5 : place + 5], axis=-1).mean()


def test_a_film_is_colored_played_and_downloaded(page, faults, tmp_path):
    write_film(tmp_path / "street.mp4", pictures(60, 190, 128, still=True))
    page.locator("#saturation").evaluate("range => { range.value = 2; }")  # shown with a photo only
    page.locator("#files").set_input_files(tmp_path / "street.mp4")
    film = page.locator("#films > li")
    expect(film.locator("h2")).to_have_text("street.mp4")
    expect(film.locator("progress")).to_be_visible()
    expect(film.locator(".facts")).to_contain_text("of about 60 frames")
    expect(film.locator("video")).to_be_visible()
    expect(film.locator(".facts")).to_have_text("190 × 128 pixels · 2.4 s")
    assert page.evaluate(PLAYED) > 0.5
    assert chroma(page, 0.2) < 3  # before
    assert chroma(page, 0.8) > 10  # after
    film.locator(".divider").focus()
    page.keyboard.press("Home")
    assert chroma(page, 0.2) > 10
    assert faults(page) == []

    page.keyboard.press("End")
    page.evaluate(JUMPED)
    page.wait_for_timeout(300)  # until it is drawn
    gray = screen(page)
    height, width = gray.shape[:2]
    own = cv2.resize(next(pictures(1, 190, 128)), (width, height), interpolation=cv2.INTER_LINEAR)
    inner = (slice(height // 10, -140), slice(width // 10, -width // 10))  # not the player's buttons
    assert np.abs(gray - own)[inner].mean() < 3

    with page.expect_download() as download:
        film.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "street-colored.mp4"
    download.value.save_as(tmp_path / "got.mp4")
    assert len(read_film(tmp_path / "got.mp4")[0]) == 60

    page.reload()
    expect(page.locator("#films video")).to_be_visible()
    page.get_by_role("button", name="Remove street.mp4").click()
    expect(page.locator("#films > li")).to_have_count(0)


def got(page, path):
    """The frames of the film that is downloaded."""
    with page.expect_download() as download:
        page.locator("#films").get_by_role("button", name="Download").click()
    download.value.save_as(path)
    return np.stack(read_film(path)[0]).astype(int)


def test_hints_of_a_frame_hold_from_it_on(page, faults, tmp_path):
    write_film(tmp_path / "street.mp4", pictures(40, 190, 128, still=True))
    page.locator("#files").set_input_files(tmp_path / "street.mp4")
    film = page.locator("#films > li")
    expect(film.locator("video")).to_be_visible()
    without = got(page, tmp_path / "without.mp4")
    page.evaluate(JUMPED)
    page.wait_for_timeout(300)  # until it is drawn
    film.get_by_role("button", name="Say what color it was in this frame").click()
    expect(page.locator("#facts")).to_have_text("street at 1.00 s.png · 190 × 128 pixels · PNG")
    expect(page.locator("#colored[src]")).to_be_visible()
    box = page.locator("#frame").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    page.locator("#any").fill("#cc2020")
    expect(film.locator(".again")).to_have_text("Color again, with 1 hint")
    assert faults(page) == []
    page.reload()
    expect(film.locator(".again")).to_have_text("Color again, with 1 hint")
    film.locator(".again").click()
    expect(film.locator("progress")).to_be_visible()
    expect(film.locator("video")).to_be_visible()
    change = np.abs(got(page, tmp_path / "with.mp4") - without)[:, 54:74, 132:152].mean(axis=(1, 2, 3))
    assert max(change[:25]) < 2
    assert min(change[25:]) > 10
    page.get_by_role("button", name="Remove street at 1.00 s.png").click()
    expect(film.locator(".again")).to_have_text("Color again")


def test_what_is_refused_is_said_at_the_film(page, tmp_path):
    (tmp_path / "broken.mkv").write_bytes(b"no film")
    page.locator("#files").set_input_files(tmp_path / "broken.mkv")
    expect(page.locator("#films .error")).to_contain_text("Not colored: not a film that can be read")
