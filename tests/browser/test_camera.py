"""Taking a photo with a webcam on the page of `colorize serve`, in a real Chromium with a fake camera."""

import socket

import pytest
from playwright.sync_api import expect

from tests.ungray.page.conftest import write_model
from tests.ungray.page.visitor import Server

from .conftest import launched

pytestmark = pytest.mark.browser

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""Flags of Chromium: a camera that shows a moving pattern, and whoever asks for it is allowed to use it."""

SEEN = """() => {
  const video = document.querySelector("#viewfinder video");
  window.track = video.srcObject.getVideoTracks()[0];
  return [video.videoWidth, video.videoHeight, video.paused, track.readyState];
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    top = tmp_path_factory.mktemp("camera page")
    write_model(top / "model.onnx", seed=2)
    server = Server(top, "--model", top / "model.onnx")
    yield server
    server.stop()


@pytest.fixture
def visit(chromium, server):
    """Open the page in a Chromium of its own that is started with ``flags``; the console must stay empty."""
    browsers, complaints = [], []

    def complain(said):
        # Of the header that counts on the machine's own page, and by HTTPS, only.
        if "Cross-Origin-Opener-Policy header has been ignored" not in said.text:
            complaints.append(f"{said.type}: {said.text}")

    def open_page(*flags, address=server.address, **options):
        browser = launched(chromium.browser_type, *flags)
        browsers.append(browser)
        page = browser.new_context(viewport={"width": 1280, "height": 900}, **options).new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", complain)
        page.goto(address)
        expect(page.locator("#limits")).to_contain_text("64 MB")
        return page

    yield open_page
    for browser in browsers:
        browser.close()
    assert complaints == []


def test_a_photo_is_taken_by_keyboard_and_the_camera_is_released(visit, faults):
    page = visit(*CAMERA)
    page.get_by_role("button", name="Take a photo").focus()
    page.keyboard.press("Enter")
    view = page.get_by_role("dialog", name="Take a photo")
    expect(view.get_by_role("status")).to_have_text("The camera is on.")
    expect(view.get_by_role("button", name="Take it")).to_be_focused()
    width, height, paused, state = page.evaluate(SEEN)
    assert (width > 300, height > 200, paused, state) == (True, True, False, "live")
    assert faults(page) == []

    page.keyboard.press("Enter")
    expect(view).to_be_hidden()
    expect(page.locator("#facts")).to_have_text(f"camera.jpg · {width:,} × {height:,} pixels · JPEG")
    expect(page.locator("#colored[src]")).to_be_visible()
    assert page.evaluate("() => track.readyState") == "ended"
    expect(page.locator("#take")).to_be_focused()

    page.keyboard.press("Enter")
    expect(view.get_by_role("status")).to_have_text("The camera is on.")
    page.evaluate(SEEN)
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()
    assert page.evaluate("() => track.readyState") == "ended"
    expect(page.locator("#list li")).to_have_count(1)
    page.locator("#take").click()
    view.get_by_role("button", name="Take it").click()
    expect(page.locator("#list .name")).to_have_text(["camera.jpg", "camera-2.jpg"])


def test_closed_before_the_camera_has_come_it_is_released_at_once(visit):
    page = visit(*CAMERA)
    page.evaluate(
        """() => {
          const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          const allowed = new Promise((done) => { window.allow = done; });
          navigator.mediaDevices.getUserMedia = async (wanted) => {
            await allowed;
            const given = await ask(wanted);
            window.track = given.getVideoTracks()[0];
            return given;
          };
        }"""
    )
    page.locator("#take").click()
    expect(page.get_by_text("Waiting for the camera.")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate("() => allow()")
    for _ in range(100):  # not by wait_for_function, which the Content-Security-Policy lets look only once
        if page.evaluate("() => window.track?.readyState") == "ended":
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail("the camera is still on")


def test_no_camera_and_one_that_is_not_allowed_are_a_sentence(visit):
    page = visit()
    page.locator("#take").click()
    expect(page.locator("#viewfinder [role=status]")).to_contain_text("No camera was found")
    expect(page.get_by_role("button", name="Take it")).to_be_disabled()
    page = visit(CAMERA[0])  # nobody is there to allow it
    page.locator("#take").click()
    expect(page.locator("#viewfinder [role=status]")).to_contain_text("does not let this page use the camera")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#viewfinder")).to_be_hidden()


def test_by_http_under_another_name_than_localhost_the_page_says_why_there_is_none(visit, server):
    port = server.address.rpartition(":")[2]
    name = f"{socket.gethostname().partition('.')[0]}.local"
    page = visit(*CAMERA, f"--host-resolver-rules=MAP {name} 127.0.0.1", address=f"http://{name}:{port}")
    expect(page.get_by_role("button", name="Take a photo")).to_be_hidden()
    expect(
        page.get_by_text("A webcam can be used only where this page runs on your own machine")
    ).to_be_visible()


def test_a_phone_takes_photos_by_its_own_program(visit):
    page = visit(*CAMERA, is_mobile=True, has_touch=True)
    expect(page.locator("#camera-label")).to_be_visible()
    expect(page.locator("#take")).to_be_hidden()
    expect(page.locator("#camera-note")).to_be_hidden()
