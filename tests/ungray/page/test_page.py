"""The web page as its script speaks with it: photos, controls, hints, downloads, and what is refused."""

import asyncio
import dataclasses
import functools
import importlib.util
import inspect
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray.cli.main import main
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.hints import Hint, write_hints
from ungray.imaging.encoding import srgb_profile
from ungray.page import coloring, command

from .conftest import MAX_BYTES, VERDICT, encoded, pixels
from .visitor import ROOT, Refused, Visitor


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


async def saved(visitor, photo, **settings):
    """The photo's download, as an image."""
    _, content = await visitor.whole(photo, **settings)
    return Image.open(io.BytesIO(content))


async def refusal(asked, status=None):
    """The sentence with which the page refuses it."""
    with pytest.raises(Refused) as refused:
        await asked
    assert status in (None, refused.value.status), refused.value
    return str(refused.value)


@visiting
async def test_a_photo_is_shown_gray_and_colored_as_the_model_says(visitor, page, cat, models):
    photo = await visitor.open("my cat.png", cat)
    gray, colored = pixels(await visitor.gray(photo)), pixels(await visitor.preview(photo))
    expected = Colorizer.load(models[0]).colorize(data.chelsea()).astype(int)
    facts = [photo[name] for name in ("name", "width", "height", "kind")]
    assert facts == ["my cat.png", 451, 300, "PNG"]
    assert gray.shape == colored.shape == (300, 451, 3)
    assert chroma(gray) < 1 < chroma(expected)
    assert np.abs(colored - expected).mean() < 3  # JPEG of quality 90


@visiting
async def test_controls_change_the_color_of_the_same_photo_without_asking_the_network(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    first = pixels(await visitor.preview(photo))
    found = {}
    for saturation, vivid in ((0, False), (0.05, False), (0.05, True), (0.2, False)):
        settings = {"saturation": saturation, "vivid": vivid}
        found[saturation, vivid] = chroma(pixels(await visitor.preview(photo, **settings)))
        assert await visitor.steps(photo, **settings) == {"render", "encode"}
    assert found[0, False] < 1 < found[0.05, False] < found[0.05, True] < found[0.2, False]
    assert "network" in await visitor.steps(photo, model="second")
    assert np.abs(pixels(await visitor.preview(photo, model="second")) - first).mean() > 1


@visiting
async def test_a_photo_of_one_pixels_height_is_colored_as_any(visitor, page):
    for height, width in ((1, 5000), (5000, 1)):
        photo = await visitor.open("thin.png", encoded(np.full((height, width, 3), 120, np.uint8)))
        assert pixels(await visitor.preview(photo)).shape[:2] == (min(height, 1280), min(width, 1280))
        assert (await saved(visitor, photo)).size == (width, height)


@visiting
async def test_what_is_shown_is_what_is_downloaded_also_where_it_is_transparent(visitor, page):
    hidden = np.dstack([data.chelsea(), np.full((300, 451), 255, np.uint8)])
    hidden[:, :200, 3], hidden[:, 200:300, 3] = 0, 128
    photo = await visitor.open("cut out.png", encoded(hidden))
    shown = pixels(await visitor.preview(photo))
    jpeg = np.asarray((await saved(visitor, photo, format="JPEG")).convert("RGB")).astype(int)
    whole = await saved(visitor, photo)
    on_white = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    assert whole.mode == "RGBA"
    assert (shown[:, :190] > 250).all()
    for download in (jpeg, np.asarray(on_white).astype(int)):
        assert np.abs(shown - download).mean() < 3  # JPEG of quality 90


@visiting
async def test_the_download_has_the_photos_size_and_exif_data(visitor, page):
    about = Image.Exif()
    about[0x010F], about[0x0112] = "Box Brownie", 6  # lies on its side
    photo = await visitor.open(
        "grandmother.jpg", encoded(np.rot90(data.coffee()), "JPEG", exif=about, quality=95)
    )
    assert (photo["width"], photo["height"]) == (600, 400)
    name, content = await visitor.whole(photo)
    got = Image.open(io.BytesIO(content))
    assert name == "grandmother-colored.jpg"
    assert got.info["icc_profile"] == srgb_profile()
    assert (got.format, got.size) == ("JPEG", (600, 400))
    assert (got.getexif()[0x010F], got.getexif().get(0x0112, 1)) == ("Box Brownie", 1)
    assert (await visitor.whole(photo, format="TIFF"))[0] == "grandmother-colored.tif"


@visiting
async def test_several_photos_come_back_as_a_zip_and_a_bad_one_leaves_the_others_alone(visitor, page, cat):
    brought = [("a.png", cat), ("n<b>.jpg", b"no photo"), ("a.png", encoded(data.coffee()))]
    photos = [await visitor.open(*one) for one in (brought[0], brought[2])]
    assert "not an image of a known format" in await refusal(visitor.open(*brought[1]), 422)
    keys = [
        (await visitor.ask("POST", f"/api/photos/{photo['id']}/whole", json={"format": "JPEG"})).json()["key"]
        for photo in photos
    ]
    made = (await visitor.ask("POST", "/api/archive", json={"keys": keys})).json()
    archive = zipfile.ZipFile(io.BytesIO((await visitor.ask("GET", f"/downloads/{made['key']}")).content))
    assert archive.namelist() == ["a-colored.jpg", "a-colored-2.jpg"]
    sizes = [Image.open(io.BytesIO(archive.read(name))).size for name in archive.namelist()]
    assert sizes == [(451, 300), (600, 400)]
    assert [photo["id"] for photo in await visitor.photos()] == [photo["id"] for photo in photos]


@visiting
async def test_hints_are_kept_with_the_photo_and_change_its_colors(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    plain = pixels(await visitor.preview(photo, model="hinted"))
    hints = [{"x": 200, "y": 150, "color": "#aa3322", "weight": 1}]
    hinted = pixels(await visitor.preview(photo, model="hinted", hints=hints))
    assert np.abs(hinted - plain)[140:160, 190:210].mean() > 5
    assert (await visitor.photos())[0]["settings"]["hints"] == hints
    assert await visitor.steps(photo, model="hinted", hints=hints, saturation=0.5) == {"render", "encode"}
    assert "takes no hints" in await refusal(visitor.preview(photo, model="first", hints=hints), 400)


@visiting
async def test_the_same_hints_give_the_same_bytes_from_page_command_and_python(
    visitor, page, cat, models, tmp_path, monkeypatch
):
    hints = [Hint(200, 150, "#aa3322"), Hint(30.5, 40, "#3355aa", 0.5)]
    (tmp_path / "cat.png").write_bytes(cat)
    write_hints(tmp_path / "cat.hints.json", hints, width=451, height=300)
    photo = await visitor.open("cat.png", cat)
    given = (await visitor.ask(
        "POST", f"/api/photos/{photo['id']}/load-hints", content=(tmp_path / "cat.hints.json").read_bytes()
    )).json()["hints"]  # fmt: skip
    written = await visitor.ask("POST", f"/api/photos/{photo['id']}/save-hints", json={"hints": given})
    assert written.content == (tmp_path / "cat.hints.json").read_bytes()
    _, by_page = await visitor.whole(photo, model="hinted", hints=given)
    by_python = Colorizer.load(models[2]).colorize(data.chelsea(), hints=hints)
    assert (pixels(by_page) == by_python).all()
    monkeypatch.chdir(tmp_path)
    main(["cat.png", "--model", str(models[2]), "--hints", "cat.hints.json", "-o", "by command.png"])
    assert (tmp_path / "by command.png").read_bytes() == by_page
    monkeypatch.chdir(tmp_path)


def test_a_further_hint_runs_the_network_once(cat, models):
    model = Colorizer.load(models[2])
    network, runs = model._engine.run, []

    def counted(lightness, hints=None):
        runs.append(len(lightness))
        return network(lightness, hints)

    model._engine = dataclasses.replace(model._engine, run=counted)
    hints = tuple(Hint(50 * number, 40, "#3355aa") for number in range(1, 5))
    for number in range(5):
        runs.clear()
        assert coloring.preview(model, "a photo", coloring.Settings(hints=hints[:number]), cat).picture
        assert runs == [1], f"with {number} hints"
    runs.clear()
    assert coloring.preview(model, "another", coloring.Settings(hints=hints), cat).picture
    assert runs == [1, 1], "of another photo nothing is known yet"
    for number in range(2 * coloring.MAX_COPIES):
        coloring.preview(model, f"photo {number}", coloring.Settings(), cat)
    assert len(coloring._memories) == coloring.MAX_COPIES


@visiting
async def test_what_is_no_setting_is_refused_with_a_sentence(visitor, page, cat):
    photo = await visitor.open("cat.png", cat)
    hint = {"x": 1, "y": 1, "color": "#aa3322"}
    for settings, part in (
        ({"saturation": -1}, "from 0 to 10"),
        ({"saturation": 1e9}, "from 0 to 10"),
        ({"saturation": "much"}, "a number"),
        ({"saturation": True}, "a number"),
        ({"vivid": 1}, "true or false"),
        ({"model": "none"}, "one of first, second"),
        ({"format": "EXE"}, "one of as it came"),
        ({"format": []}, "one of as it came"),
        ({"hints": 1}, "no list"),
        ({"hints": [1]}, "no hint"),
        ({"hints": [hint | {"x": 452}]}, "beside the photo of 451x300"),
        ({"hints": [hint | {"x": 1e400}]}, "numbers of pixels"),
        ({"hints": [hint | {"x": 10**400}]}, "numbers of pixels"),
        ({"hints": [hint | {"color": "red"}]}, "#aa3322"),
        ({"hints": [hint | {"weight": 2}]}, "at most 1"),
        ({"hints": [hint] * 10_001}, "at most"),
        ({"waiting_hints": {"a": 1}}, "no list"),
    ):
        kind = "whole" if "format" in settings else "preview"
        asked = visitor.ask("POST", f"/api/photos/{photo['id']}/{kind}", content=json.dumps(settings),
                            headers={"Content-Type": "application/json"})  # fmt: skip
        assert part in await refusal(asked), settings
    for body in (b"", b"[]", b"{", b"[" * 100_000, b'{"saturation": NaN}', bytes(600_000)):
        asked = visitor.ask("POST", f"/api/photos/{photo['id']}/preview", content=body,
                            headers={"Content-Type": "application/json"})  # fmt: skip
        assert len(await refusal(asked, 400)) < 200, body[:20]
    asked = visitor.ask("POST", f"/api/photos/{photo['id']}/preview", content=b"{}")
    assert "Content-Type" in await refusal(asked, 400)
    assert "no longer here" in await refusal(visitor.preview({"id": "none"}), 422)
    assert "Traceback" not in page.said()


@visiting
async def test_what_it_says_of_its_models(visitor, page):
    about = (await visitor.ask("GET", "/api/about")).json()
    first, second, _ = about["models"]
    assert first["quality"] == (
        "On its test photos, this model's colors were 10 % farther from the true ones than gray."
    )
    assert second["quality"] == "How good this model's colors are is not known."
    assert [model["takes_hints"] for model in about["models"]] == [False, False, True]
    card = (await visitor.ask("GET", "/api/cards/0")).text
    assert f"<strong>first</strong> (one). {VERDICT}" in card
    assert "<h2>How good it is</h2>" in card
    assert "<script>" not in card  # though it stands in the card's Markdown
    assert (await visitor.client.get("/api/cards/9")).status_code == 404


def hostile():
    """The files of tests/hostile_photos.py, but for those that are photos after all."""
    spec = importlib.util.spec_from_file_location("hostile_photos", ROOT / "tests/hostile_photos.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: content for name, content in module.FILES.items() if name not in module.HARMLESS}


@visiting
async def test_hostile_files_get_a_sentence_and_the_photo_before_stays(visitor, page, cat):
    await visitor.open("cat.png", cat)
    before = page.files()
    bad = hostile() | {"a text": b"hello", "nothing": b"", "half": cat[: len(cat) // 2]}
    for name, content in bad.items():
        sentence = await refusal(visitor.open(f"{name}.jpg", content), 422)
        assert len(sentence) < 250, name
        assert "\n" not in sentence, name
    assert [photo["name"] for photo in await visitor.photos()] == ["cat.png"]
    assert set(page.files()) <= set(before)  # those of visitors who have just left may be gone
    assert page.memory() < 2500


@visiting
async def test_a_photo_of_too_many_pixels_is_refused_undecoded(visitor, page):
    sentence = await refusal(visitor.open("wide.png", encoded(np.zeros((1000, 1001, 3), np.uint8))), 422)
    assert sentence == "1001x1000 pixels are too many; this page takes 1 megapixels"


@visiting
async def test_too_many_bytes_are_refused_and_leave_nothing(visitor, page):
    await visitor.photos()
    before = page.files()

    async def in_parts():
        for _ in range(20):
            yield bytes(MAX_BYTES // 10)

    for content in (bytes(MAX_BYTES + 1), in_parts()):
        assert "too large; the limit is 1.5 MB" in await refusal(visitor.open("x.jpg", content))
    assert set(page.files()) <= set(before)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/photo.jpg",
        "http://localhost:{port}/examples/cat.jpg",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x.png",
        "http://[::1]/x.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_a_private_address_is_refused(page, address):
    @visiting
    async def ask(visitor, page):
        url = address.format(port=page.address.rpartition(":")[2])
        assert await refusal(visitor.ask("POST", "/api/addresses", json={"url": url}))
        assert not await visitor.photos()

    ask(page=page)


def test_importing_the_command_costs_nothing():
    script = "import json, sys, ungray.page; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "starlette", "cv2", "numpy"} & set(json.loads(done.stdout))


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
