"""The web page as its script speaks with it: photos, controls, downloads, what is refused, what is left."""

import asyncio
import functools
import importlib.util
import inspect
import io
import json
import signal
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging.encoding import srgb_profile
from ungray.page import coloring, command, events
from ungray.page.events import Events, Limits
from ungray.page.models import Models
from ungray.page.sessions import Sessions
from ungray.page.uploads import Uploads

from .conftest import CARD, MAX_BYTES, MAX_PIXELS, VERDICT, encoded, pixels
from .visitor import ROOT, Server, Visitor, addresses, file


def visiting(test):
    """Run a test that is a coroutine, its first argument a visitor of the page."""

    @functools.wraps(test)
    def run(page, **fixtures):
        async def visit():
            async with Visitor(page.address) as visitor:
                await test(visitor, page=page, **fixtures)

        asyncio.run(visit())

    # Pytest reads from this which fixtures the test wants.
    wanted = inspect.signature(test).parameters.values()
    run.__signature__ = inspect.Signature([one for one in wanted if one.name != "visitor"])
    return run


def chroma(rgb):
    return (rgb.max(axis=-1) - rgb.min(axis=-1)).mean()


async def saved(visitor, kind="as it came"):
    """The photo's download, as an image."""
    made, _ = await visitor.call(("save", "click"), "first", 1, False, kind)
    return Image.open(io.BytesIO(await visitor.fetch(f"/gradio_api/file={made['path']}")))


@pytest.fixture
def local(models, tmp_path):
    """The page's events without a server, and what brings a photo to them: ``events, upload``."""
    uploads = Uploads(tmp_path / "uploads", max_bytes=MAX_BYTES)
    limits = Limits(max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS, queue=1)
    events = Events(Models(models), Sessions(tmp_path / "sessions"), uploads, [], limits)

    def upload(name, content):
        path = tmp_path / "uploads" / name.partition(".")[0] / name
        path.parent.mkdir()
        path.write_bytes(content)
        return str(path)

    return events, upload


@visiting
async def test_a_photo_is_shown_gray_and_colored_as_the_model_says(visitor, page, cat, models):
    (gray, colored), said = await visitor.open("my cat.png", cat, "first")
    gray, colored = pixels(await visitor.fetch(gray)), pixels(await visitor.fetch(colored))
    expected = Colorizer.load(models[0]).colorize(data.chelsea()).astype(int)
    assert said == "`my cat.png` · 451 × 300 pixels · PNG"
    assert gray.shape == colored.shape == (300, 451, 3)
    assert chroma(gray) < 1 < chroma(expected)
    assert np.abs(colored - expected).mean() < 3  # JPEG of quality 90


@visiting
async def test_controls_change_the_color_of_the_same_photo(visitor, page, cat):
    (gray, colored), said = await visitor.open("cat.png", cat, "first")
    first = pixels(await visitor.fetch(colored))
    found = {}
    for saturation, vivid in ((0, False), (0.05, False), (0.05, True), (0.2, False)):
        shown, still = await visitor.call(("Saturation", "input"), "first", saturation, vivid)
        assert still == said
        assert shown[0]["path"] in gray  # the same file: the browser has it already
        found[saturation, vivid] = chroma(pixels(await visitor.fetch(addresses(shown)[1])))
    assert found[0, False] < 1 < found[0.05, False] < found[0.05, True] < found[0.2, False]
    shown, _ = await visitor.call(("Model", "input"), "second", 1, False)
    assert np.abs(pixels(await visitor.fetch(addresses(shown)[1])) - first).mean() > 1


def test_controls_do_not_ask_the_network_again(local, tmp_path, cat, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Colorizer, "predict", lambda *a, predict=Colorizer.predict: asked.append(1) or predict(*a)
    )
    events, upload = local
    visitor = SimpleNamespace(session_hash="x")
    shown, _ = events.open_upload(upload("cat.png", cat), "first", 1, False, visitor)
    others = [events.change("first", 0.1 * step, step % 2 == 1, visitor)[0] for step in range(10)]
    assert asked == [1]
    assert len({paths[1] for paths in [shown, *others]}) == 11
    events.change("second", 1, False, visitor)
    assert asked == [1, 1]
    events.leave(visitor)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@visiting
async def test_a_photo_of_one_pixels_height_is_colored_as_any(visitor, page):
    for height, width in ((1, 5000), (5000, 1)):
        thin = encoded(np.full((height, width, 3), 120, np.uint8))
        shown, said = await visitor.open("thin.png", thin, "first")
        assert said == f"`thin.png` · {width:,} × {height:,} pixels · PNG"
        assert pixels(await visitor.fetch(shown[1])).shape[:2] == (min(height, 1280), min(width, 1280))
        assert (await saved(visitor)).size == (width, height)


@visiting
async def test_what_is_shown_is_what_is_downloaded_also_where_it_is_transparent(visitor, page):
    hidden = np.dstack([data.chelsea(), np.full((300, 451), 255, np.uint8)])
    hidden[:, :200, 3], hidden[:, 200:300, 3] = 0, 128
    shown, _ = await visitor.open("cut out.png", encoded(hidden), "first")
    shown = pixels(await visitor.fetch(shown[1]))
    jpeg = np.asarray((await saved(visitor, "JPEG")).convert("RGB")).astype(int)
    whole = await saved(visitor)
    on_white = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    assert whole.mode == "RGBA"
    assert (shown[:, :190] > 250).all()
    for download in (jpeg, np.asarray(on_white).astype(int)):
        assert np.abs(shown - download).mean() < 3  # JPEG of quality 90
    several, _, _ = await visitor.call(
        ("go", "click"), [file(path) for path in await visitor.upload(("a.png", encoded(hidden)))],
        "first", 1, False, "PNG",
    )  # fmt: skip
    again = pixels(await visitor.fetch(f"/gradio_api/file={several[0]['image']['path']}"))
    assert np.abs(again - jpeg).mean() < 3


@visiting
async def test_a_photo_of_16_bits_is_shown_rounded_as_its_download(visitor, page):
    dark = io.BytesIO()
    Image.fromarray(np.full((40, 60), 250, np.uint16)).save(dark, "PNG")  # 0.97 of a level of 8 bits
    (gray, _), _ = await visitor.open("dark.png", dark.getvalue(), "first")
    assert (pixels(await visitor.fetch(gray)) == 1).all()


@visiting
async def test_the_download_has_the_photos_size_and_exif_data(visitor, page):
    about = Image.Exif()
    about[0x010F], about[0x0112] = "Box Brownie", 6  # lies on its side
    lying = np.rot90(data.coffee())
    await visitor.open("grandmother.jpg", encoded(lying, "JPEG", exif=about, quality=95), "first")
    made, _ = await visitor.call(("save", "click"), "first", 1, False, "as it came")
    assert made["orig_name"] == "grandmother-colored.jpg"
    got = await saved(visitor)
    assert got.info["icc_profile"] == srgb_profile()
    assert (got.format, got.size) == ("JPEG", (600, 400))
    assert (got.getexif()[0x010F], got.getexif().get(0x0112, 1)) == ("Box Brownie", 1)
    made, _ = await visitor.call(("save", "click"), "first", 1, False, "TIFF")
    assert made["orig_name"] == "grandmother-colored.tif"


@visiting
async def test_several_photos_come_back_as_a_zip_and_the_bad_one_is_named(visitor, page, cat):
    paths = await visitor.upload(("a.png", cat), ("a.png", encoded(data.coffee())), ("n<b>.jpg", b"no photo"))
    files = [file(path) for path in paths]
    pictures, ready, said = await visitor.call(("go", "click"), files, "first", 1, False, "JPEG")
    assert [picture["caption"] for picture in pictures] == ["a-colored.jpg", "a-colored-2.jpg"]
    assert said.startswith("2 of 3 photos colored.\n- n\\_b\\_.jpg: not an image of a known format")
    archive = zipfile.ZipFile(io.BytesIO(await visitor.fetch(f"/gradio_api/file={ready['value']['path']}")))
    sizes = [Image.open(io.BytesIO(archive.read(name))).size for name in archive.namelist()]
    assert sizes == [(451, 300), (600, 400)]


@visiting
async def test_a_thin_photo_among_several_takes_nothing_from_the_others(visitor, page, cat):
    thin = encoded(np.full((1, 5000, 3), 120, np.uint8))
    paths = await visitor.upload(("a.png", cat), ("thin.png", thin), ("b.png", cat))
    files = [file(path) for path in paths]
    _, ready, said = await visitor.call(("go", "click"), files, "first", 1, False, "as it came")
    assert said == "3 of 3 photos colored."
    archive = zipfile.ZipFile(io.BytesIO(await visitor.fetch(f"/gradio_api/file={ready['value']['path']}")))
    assert archive.namelist() == ["a-colored.png", "thin-colored.png", "b-colored.png"]


def test_a_fault_of_ours_is_a_sentence_and_the_other_photos_go_on(local, cat, monkeypatch, capsys):
    page, upload = local
    color, visitor = coloring.color_whole, SimpleNamespace(session_hash="x")

    def faulty(content, *arguments, **named):
        if content == b"faulty":
            raise ZeroDivisionError("of a kind\nthat nobody foresaw")
        return color(content, *arguments, **named)

    monkeypatch.setattr(coloring, "color_whole", faulty)
    monkeypatch.setattr(coloring, "predict_shown", faulty)
    monkeypatch.setattr(coloring, "check", lambda content, **limits: ("PNG", 1, 1))
    warned = []
    monkeypatch.setattr(events.gr, "Warning", lambda said, **named: warned.append(said))
    paths = [upload(f"{name}.png", b"faulty" if name == "b" else cat) for name in "abc"]
    pictures, ready, said = page.many(paths, "first", 1, False, "PNG", visitor)
    assert [name for _, name in pictures] == ["a-colored.png", "c-colored.png"]
    assert zipfile.ZipFile(ready["value"]).namelist() == ["a-colored.png", "c-colored.png"]
    fault = "b.png: a bug of this page, see its terminal (ZeroDivisionError: of a kind)"
    assert said.replace("\\", "").startswith(f"2 of 3 photos colored.\n- {fault}")
    _, said = page.open_upload(upload("b.png", b"faulty"), "first", 1, False, visitor)
    assert said.replace("\\", "").startswith(f"**Not colored.** {fault}")
    assert warned == [f"{fault}; try another photo"]
    assert capsys.readouterr().err.count("ZeroDivisionError: of a kind") == 2  # with the traceback


@visiting
async def test_an_example_needs_no_file(visitor, page):
    shown, said = await visitor.call(("examples", "click"), 1, "first", 1, False)
    assert said.startswith("`cat.jpg`")
    assert len(shown) == 2


@visiting
async def test_what_it_says_of_a_model(visitor, page):
    about, card = await visitor.call(("Model", "change"), "first")
    assert about == f"**first** (unet). {VERDICT}"
    assert card == CARD.strip()
    about, _ = await visitor.call(("Model", "change"), "second")
    assert about == "**second** (unet). Its quality compared with the gray photo is unknown."


def hostile():
    """The files of tests/hostile_photos.py, but for those that are photos after all."""
    spec = importlib.util.spec_from_file_location("hostile_photos", ROOT / "tests/hostile_photos.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: content for name, content in module.FILES.items() if name not in module.HARMLESS}


@visiting
async def test_hostile_files_get_a_sentence_and_the_photo_before_stays(visitor, page, cat):
    await visitor.open("cat.png", cat, "first")
    bad = hostile() | {"a text": b"hello", "nothing": b"", "half": cat[: len(cat) // 2]}
    for name, content in bad.items():
        shown, said = await visitor.open(f"{name}.jpg", content, "first")
        assert shown is None, name
        assert said.startswith("**Not colored.** "), name
        assert len(said) < 250, name
        assert "\n" not in said, name
    _, said = await visitor.call(("Saturation", "input"), "first", 1, False)
    assert "cat.png" in said
    assert page.memory() < 2500


@visiting
async def test_a_photo_of_too_many_pixels_is_refused_undecoded(visitor, page):
    shown, said = await visitor.open("wide.png", encoded(np.zeros((1000, 1001, 3), np.uint8)), "first")
    assert shown is None
    assert "1001x1000 pixels are too many; this page takes 1 megapixels" in said


@visiting
async def test_too_many_bytes_are_refused_and_leave_nothing(visitor, page):
    for files in ([bytes(MAX_BYTES + 1)], [bytes(MAX_BYTES)] * 5):
        answer = await visitor.client.post(
            "/gradio_api/upload", files=[("files", ("x.jpg", content)) for content in files]
        )
        assert (answer.status_code, "too large" in answer.text) == (413, True)

    async def endless():
        for _ in range(300):
            yield bytes(1_000_000)

    for path, kind in (("upload", "multipart/form-data; boundary=x"), ("queue/join", "application/json")):
        try:
            answer = await visitor.client.post(
                f"/gradio_api/{path}", content=endless(), headers={"content-type": kind}
            )
            assert answer.status_code >= 400
        except httpx.TransportError:
            pass  # the page hung up on it
    assert not [path for path in page.files() if "uploads" in path.parts]
    assert (await visitor.client.get("/")).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/photo.jpg",
        "http://localhost:{port}/gradio_api/startup-events",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.png",
        "http://[::1]/x.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_a_private_address_is_refused(page, address):
    address = address.format(port=page.address.rpartition(":")[2])

    async def ask():
        async with Visitor(page.address) as visitor:
            return await visitor.call(("Address of a photo", "submit"), address, "first", 1, False)

    shown, said = asyncio.run(ask())
    assert isinstance(shown, dict)  # stays as it is
    assert said.startswith("**Not colored.** ")


@visiting
async def test_no_other_file_and_no_address_passes_for_an_upload(visitor, page, cat):
    await visitor.open("cat.png", cat, "first")
    theirs = next(path for path in page.files() if path.name == "photo")
    for path in (
        "/etc/hostname",
        str(theirs),
        f"{theirs.parents[2]}/uploads/x/../../sessions",
        "http://127.0.0.1/",
    ):
        try:
            shown, said = await visitor.call(("drop", "upload"), file(path), "first", 1, False)
        except AssertionError:  # gradio refuses it before we are asked
            continue
        assert isinstance(shown, dict), path
        assert said.startswith("**Not colored.** "), path
    assert theirs.exists()


def test_only_what_the_page_uses_is_answered(page):
    for path in (
        "gradio_api/deep_link?session_hash=x",
        "gradio_api/proxy=http://127.0.0.1",
        "runs",
        "monitoring",
    ):
        assert httpx.get(f"{page.address}/{path}").status_code == 404, path
    assert httpx.get(f"{page.address}/gradio_api/file=/etc/passwd").status_code in (403, 404)
    assert httpx.get(page.address, headers={"Host": "evil.example"}).status_code == 400


def test_nothing_stays_when_a_visitor_leaves(page, cat):
    async def visit():
        async with Visitor(page.address) as visitor:
            await visitor.open("cat.png", cat, "first")
            await visitor.call(("save", "click"), "first", 1, False, "PNG")
            mine = page.files()
        for _ in range(600):
            if not any(path.exists() for path in mine):
                break
            await asyncio.sleep(0.05)
        return mine

    mine = asyncio.run(visit())
    assert {path.name for path in mine} >= {"photo", "gray.jpg", "colored.jpg", "cat-colored.png"}
    assert not [path for path in mine if path.exists()]


def test_nothing_stays_when_the_server_ends_or_was_killed(models, tmp_path, cat):
    async def visit(server, how):
        async with Visitor(server.address) as visitor:
            await visitor.open("cat.png", cat, "first")
            assert server.files()
            return await asyncio.to_thread(server.stop, how)

    for how, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 0)):
        assert asyncio.run(visit(Server(tmp_path, "--model", models[0]), how)) == code
    assert not list(tmp_path.glob("colorize-serve-*"))
    assert "no photo is left" in (tmp_path / "log.txt").read_text()


def test_importing_the_command_costs_nothing():
    script = "import json, sys, ungray.page; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "gradio", "cv2", "numpy"} & set(json.loads(done.stdout))


def test_a_taken_port_and_a_foreign_host_are_said():
    with command._listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UngrayError, match=f"port {port} is not available"),
            command._listening("127.0.0.1", port),
        ):
            pass
    for host in ("no.such.host.invalid", "192.0.2.1"):  # the second is nobody's, by RFC 5737
        for port in (0, None):
            with (
                pytest.raises(UngrayError, match=f"--host {host} is not an address of this machine"),
                command._listening(host, port),
            ):
                pass


@pytest.mark.parametrize("given", ["abc", "0", "1.5"])
def test_a_limit_that_is_no_number_hears_what_is_one(given, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--max-bytes", given])
    said = f"argument --max-bytes: {given} is not a whole number of at least 1, such as 2000000\n"
    assert capsys.readouterr().err.endswith(said)
