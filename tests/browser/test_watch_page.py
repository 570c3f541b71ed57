"""The watch page in a real Chromium, while a training writes its files."""

import json
import shutil
import socket
import threading
from functools import partial

import numpy as np
import psutil
import pytest
import uvicorn

from stages.train.status import FILE, StatusFile
from stages.train.watch.server import Watch, application
from ungray.imaging.grids import write_jpeg

pytestmark = pytest.mark.browser

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Writer:
    """What a training writes, epoch by epoch, to ``report``; it runs in this process."""

    def __init__(self, top, report, name="", monkeypatch=None):
        self.report, self.work = report, top / ".cache/train" / (name or "here")
        if monkeypatch:
            monkeypatch.setenv("DVC_EXP_NAME", name)
        self.status = StatusFile(self.work, report)
        self.status.write()
        (self.work / "settings.json").write_text(
            json.dumps({"train.architecture": "unet", "train.lr": 0.001})
        )

    def epoch(self, epoch, value):
        """One more epoch, of ten."""
        for name, gray in (("loss", 0.1), ("ciede2000", 12.0), ("psnr", 21.0)):
            for line, number in (("val", gray * value), ("gray", gray)):
                path = self.report / "plots/metrics" / name / f"{line}.tsv"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as file:
                    file.write(f"step\t{line}\n" * (not path.stat().st_size) + f"{epoch}\t{number}\n")
        tile = np.full((90, 240, 3), (40 * epoch % 255, 90, 160), np.uint8)
        write_jpeg(self.report / f"plots/images/grid/{epoch:04}.jpg", tile)
        self.status.write(
            epoch=epoch, step=10 * epoch, steps=100, epochs=10, pace=31.0, seconds_left=600 - 60 * epoch,
            record={"loss/val": 0.1 * value},
        )  # fmt: skip

    def end(self):
        """The training has ended: the folder of its checkpoint goes."""
        shutil.rmtree(self.work)


@pytest.fixture
def top(tmp_path):
    return tmp_path


@pytest.fixture
def address(top):
    """The address of a server that watches ``top``."""
    listener = socket.create_server(("127.0.0.1", 0))
    options = uvicorn.Config(application(Watch(top)), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(browser_tab, address):
    """Open the page in a browser of its own; what went wrong in it is in ``page.complaints``."""
    return partial(browser_tab, address)


def test_it_follows_a_training_from_before_its_begin_to_after_its_end(page, top, address):
    from playwright.sync_api import expect

    tab = page()
    sentence, curves = tab.locator("#sentence"), tab.locator("#curves figure")
    expect(sentence).to_contain_text("No training has begun here")
    training = Writer(top, top / "reports/train")
    expect(sentence).to_contain_text("It begins")
    for epoch, value in enumerate((0.9, 0.8, 0.85)):
        training.epoch(epoch, value)
    expect(sentence).to_have_text("Epoch 3 of 10, step 20 of 100. 31 photos/s, 8 min left.")
    expect(tab).to_have_title("20 % · running · Training · Ungray")
    expect(tab.locator("#best")).to_have_text(
        "Best CIEDE2000 of the val photos: 9.60, after epoch 1; the gray photos have 12.00."
    )
    expect(curves).to_have_count(3)
    expect(curves.nth(1)).to_contain_text("epoch 2: val 10.20, gray 12.00")
    expect(curves.nth(1).locator("polyline")).to_have_count(2)
    expect(tab.locator("#grid img")).to_have_js_property("naturalWidth", 240)
    expect(tab.locator("#grid figcaption")).to_contain_text("After epoch 2")
    curves.nth(1).locator("svg").hover(position={"x": 60, "y": 90})
    expect(curves.nth(1)).to_contain_text("epoch 0: val 10.80")

    newest = top / "reports/train/plots/images/grid/0003.jpg"
    training.epoch(3, 0.7)
    newest.write_bytes(newest.read_bytes()[:50])  # it is being written
    expect(sentence).to_contain_text("Epoch 4 of 10")
    expect(tab.locator("#grid figcaption")).to_contain_text("After epoch 2")

    training.end()
    expect(sentence).to_have_text("It has ended, after epoch 3.")
    expect(curves).to_have_count(3)
    shutil.rmtree(top / "reports")  # as DVC does before the next one
    expect(sentence).to_contain_text("No training has begun here")
    expect(curves).to_have_count(0)
    assert tab.complaints == []
    assert all(asked.startswith(address) for asked in tab.asked)


def test_with_several_trainings_one_is_chosen_by_keyboard_and_stays(page, top, monkeypatch):
    from playwright.sync_api import expect

    for name in ("lr-1", "lr-2"):
        training = Writer(top, top / f".dvc/tmp/exps/{name}/reports/train", name, monkeypatch)
        training.epoch(1, 0.8)
    tab = page()
    choice = tab.locator("#training")
    expect(choice.locator("option")).to_have_text(
        ["experiment lr-1 (running)", "experiment lr-2 (running)", "in this folder (waiting)"]
    )
    tab.keyboard.press("Tab")
    expect(choice).to_be_focused()
    tab.keyboard.press("ArrowDown")
    expect(choice).to_have_value(tab.evaluate("document.querySelector('#training').options[1].value"))
    training.epoch(2, 0.5)
    expect(tab.locator("#best")).to_contain_text("6.00, after epoch 2")
    tab.reload()
    expect(tab.locator("#best")).to_contain_text("6.00, after epoch 2")
    assert tab.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_has_no_faults(page, top, faults, width, scheme):
    from playwright.sync_api import expect

    training = Writer(top, top / "reports/train")
    for epoch in range(12):
        training.epoch(epoch, 0.9 - 0.02 * epoch)
    tab = page(width=width, color_scheme=scheme)
    # Not by wait_for_function: the page's Content-Security-Policy lets it look only once.
    expect(tab.locator("#grid img")).to_have_js_property("naturalWidth", 240)
    tab.locator("summary").click()
    assert tab.locator("tbody tr").count() == 12
    assert tab.evaluate(OVERFLOW) == 0
    assert faults(tab) == []
    assert tab.complaints == []


def test_a_server_that_ended_and_a_training_that_was_killed_are_told(page, top):
    from playwright.sync_api import expect

    training = Writer(top, top / "reports/train")
    training.epoch(1, 0.8)
    metrics = {"loss": {"val": 0.08}, "step": 1}
    (top / "reports/train/metrics.json").write_text(json.dumps(metrics))
    written = json.loads((training.work / FILE).read_text())
    written |= {"process_began": psutil.Process().create_time() - 99}
    (training.work / FILE).write_text(json.dumps(written))
    tab = page()
    expect(tab.locator("#sentence")).to_contain_text("It was stopped or killed at step 10 of 100.")
    tab.route("**/api/state*", lambda route: route.abort())
    expect(tab.locator("#trouble")).to_contain_text("is `python -m stages.train watch` still running?")
    expect(tab.locator("#curves figure")).to_have_count(3)
    tab.unroute("**/api/state*")
    expect(tab.locator("#trouble")).to_be_hidden()
