"""The web page of `colorize serve` in a real Chromium that reaches nothing but the page."""

import base64
import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect
from skimage import data

from tests.ungray.page.visitor import Server
from ungray import networks

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    """The page, with a small untrained model."""
    top = tmp_path_factory.mktemp("web page")
    torch.manual_seed(0)
    network = networks.build(tiny["train"].network())
    networks.save_model(top / "tiny.safetensors", networks.Model(network, {}))
    wide = "".join(f"| colorfulness{number} " for number in range(12))
    (top / "model_card.md").write_text(f"# Model card\n\n{wide}|\n{'|---' * 12}|\n{wide}|\n")
    server = Server(top, "--model", top / "tiny.safetensors")
    yield server
    server.stop()


@pytest.fixture
def visit(chromium, server):
    """Open the page in a browser whose network is cut; nobody else may be asked, nothing go wrong."""
    contexts, foreign, complaints = [], [], []

    def cut(route):
        if route.request.url.startswith((server.address, "blob:", "data:")):
            return route.continue_()
        foreign.append(route.request.url)
        return route.abort()

    def open_page(*, width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.route("**/*", cut)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(server.address)
        expect(page.locator("#drop input[type=file]")).to_be_attached()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert (foreign, complaints) == ([], [])


def photo(name="cat.jpg", kind="JPEG", rgb=None, **options):
    """A photo as a person picks it."""
    written = io.BytesIO()
    Image.fromarray(data.chelsea() if rgb is None else rgb).save(written, kind, **options)
    return {"name": name, "mimeType": f"image/{kind.lower()}", "buffer": written.getvalue()}


def drop(page, *photos, where="drop"):
    page.set_input_files(f"#{where} input[type=file]", files=list(photos))


def pictures(page):
    """The gray and the colored picture, once they are there."""
    found = page.locator("#slider img")
    expect(found).to_have_count(2)
    return [found.nth(number) for number in range(2)]


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    return download.value.suggested_filename, download.value.path().read_bytes()


def test_upload_slide_make_vivid_and_download(visit):
    page = visit()
    about = Image.Exif()
    about[0x010F] = "Box Brownie"
    drop(page, photo("my cat.jpg", exif=about))
    expect(page.locator("#facts")).to_contain_text("my cat.jpg · 451 × 300 pixels · JPEG")
    first, second = pictures(page)
    addresses = {picture.get_attribute("src") for picture in (first, second)}
    sizes = [picture.evaluate("async (image) => (await image.decode(), image.naturalWidth)")
             for picture in (first, second)]  # fmt: skip
    assert sizes == [451, 451]

    handle = page.locator("#slider .inner, #slider [role=slider], #slider .handle-wrap").first
    before = handle.bounding_box()
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.down()
    page.mouse.move(before["x"] - 150, before["y"] + before["height"] / 2, steps=5)
    page.mouse.up()
    assert handle.bounding_box()["x"] < before["x"] - 100

    page.get_by_label("Vivid").first.check()
    page.wait_for_function(
        "(before) => [...document.querySelectorAll('#slider img')]"
        ".filter((image) => before.includes(image.src)).length == 1",
        arg=list(addresses),
    )  # the gray one stays, the colored one is another
    name, content = saved(page, "#save")
    image = Image.open(io.BytesIO(content))
    assert (name, image.size, image.getexif()[0x010F]) == ("my cat-colored.jpg", (451, 300), "Box Brownie")


def test_a_bad_file_is_named_and_the_page_goes_on(visit):
    page = visit()
    drop(page, photo())
    pictures(page)
    drop(page, {"name": "notes<img src=x>.jpg", "mimeType": "image/jpeg", "buffer": b"no photo at all"})
    expect(page.locator("#facts")).to_contain_text("Not colored. notes_img src_x_.jpg: not an image")
    expect(page.locator(".toast-body")).to_contain_text("not an image of a known format")
    pictures(page)
    drop(page, photo("second.png", "PNG", data.coffee()))
    expect(page.locator("#facts")).to_contain_text("second.png · 600 × 400 pixels · PNG")


def test_what_is_too_large_is_refused_in_the_words_of_the_page(visit, tmp_path):
    page = visit()
    expect(page.locator("#drop ~ .hint").first).to_contain_text("up to 64 MB")
    large, half = tmp_path / "harbor.tif", tmp_path / "sea.tif"
    for path, size in ((large, 64_000_001), (half, 52_000_000)):
        with path.open("wb") as file:
            file.truncate(size)
    limits = "too large; the limit is 64 MB per photo and 256 MB at once: save it smaller, or drop fewer"
    page.set_input_files("#drop input[type=file]", files=large)
    expect(page.get_by_role("alert")).to_have_text(f"Not colored. harbor.tif: {limits}")
    drop(page, photo())
    pictures(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(64000001)], "dropped.tif"));
          document.querySelector("#drop button").dispatchEvent(
            new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.get_by_role("alert")).to_have_text(f"Not colored. dropped.tif: {limits}")
    page.get_by_role("tab", name="Several photos").click()
    page.set_input_files("#photos input[type=file]", files=[half] * 5)
    expect(page.get_by_role("alert")).to_have_text(f"Not colored. 5 photos: {limits}")


def test_a_thin_photo_is_shown(visit):
    page = visit()
    drop(page, photo("thin.png", "PNG", np.full((1, 5000, 3), 120, np.uint8)))
    expect(page.locator("#facts")).to_contain_text("thin.png · 5,000 × 1 pixels · PNG")
    pictures(page)


def test_a_pasted_photo_and_an_address_that_is_private(visit):
    page = visit()
    pasted = base64.b64encode(photo()["buffer"]).decode()
    page.evaluate(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        pasted,
    )
    expect(page.locator("#facts")).to_contain_text("pasted.jpg · 451 × 300 pixels")
    page.get_by_label("Address of a photo").fill("http://192.168.0.1/photo.jpg")
    page.click("#fetch")
    expect(page.locator("#facts")).to_contain_text("Not colored. http://192.168.0.1/photo.jpg: ")


def test_several_photos_and_their_zip(visit):
    page = visit()
    page.get_by_role("tab", name="Several photos").click()
    drop(page, photo("a.jpg"), photo("b.png", "PNG"), where="photos")
    expect(page.get_by_label("Remove this file")).to_have_count(2)
    page.click("#go")
    expect(page.locator("#said")).to_contain_text("2 of 2 photos colored.")
    expect(page.locator("#pictures img")).to_have_count(2)
    name, content = saved(page, "#archive")
    assert (name, zipfile.ZipFile(io.BytesIO(content)).namelist()) == (
        "colored.zip", ["a-colored.jpg", "b-colored.png"],
    )  # fmt: skip


CONTRAST = """([where, pseudo]) => {
  const paint = document.createElement("canvas").getContext("2d");
  const luminance = (...colors) => {
    for (const color of colors) {  // each over the one before
      paint.fillStyle = color;
      paint.fillRect(0, 0, 1, 1);
    }
    const levels = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map((level) => level / 255);
    const [r, g, b] = levels.map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const element = document.querySelector(where), grounds = [];
  for (let one = element; one; one = one.parentElement)
    grounds.unshift(getComputedStyle(one).backgroundColor);
  const ground = luminance("white", ...grounds);
  const text = luminance("white", ...grounds, getComputedStyle(element, pseudo).color);
  return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
}"""
"""The contrast that WCAG defines, of an element's text; opaque as the page's texts are."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(visit, scheme):
    page = visit(color_scheme=scheme)
    for where, pseudo in (
        ("#save", None),
        ("#fetch", None),
        (".hint p", None),
        ("button[role=tab].selected", None),
        ("#address input", "::placeholder"),
        (".controls .block .info, .controls [data-testid=block-info]", None),
    ):
        assert page.evaluate(CONTRAST, [where, pseudo]) >= 4.5, where


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(visit, scheme):
    page = visit(**PHONE, color_scheme=scheme)
    page.locator("#examples img").nth(1).tap()
    pictures(page)
    expect(page.locator("#facts")).to_contain_text("cat.jpg")
    page.locator("#card button").first.tap()
    expect(page.locator("#card td").first).to_be_visible()
    assert page.locator("#card td").first.evaluate("(cell) => cell.clientHeight") < 60  # its word in one line
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in ("#drop", "#address", "#slider", "#save", "#examples", "#card"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= 390, part
    for label in ("Saturation", "Vivid", "Save as"):
        box = page.get_by_label(label).first.bounding_box()
        assert box["x"] >= 0, label
        assert box["x"] + box["width"] <= 390, label
    assert page.locator("#slider").bounding_box()["width"] > 300
    ground, text = (
        page.evaluate(
            """([where, what]) => {
              const paint = document.createElement("canvas").getContext("2d");
              paint.fillStyle = getComputedStyle(document.querySelector(where))[what];
              paint.fillRect(0, 0, 1, 1);
              return paint.getImageData(0, 0, 1, 1).data.slice(0, 3).reduce((sum, level) => sum + level) / 3;
            }""",
            asked,
        )
        for asked in (["body", "backgroundColor"], ["#introduction p", "color"])
    )
    assert (ground < 60 and text > 180) if scheme == "dark" else (ground > 200 and text < 100)
