"""A real Chromium, the review page's server as a person starts it, and a clone in which real DVC runs."""

import importlib.util
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
import uvicorn
from PIL import Image
from skimage import data

from stages.filter.review.collection import Collection
from stages.filter.review.decisions import Decisions, Seen
from stages.filter.review.pictures import Pictures
from stages.filter.review.server import Review, application
from stages.scrape.manifest import folder_name
from stages.storage import cache, tables
from ungray.system import files

ROOT = Path(__file__).parents[2]
HOSTILE = """<img src=x onerror="document.title='injected'">'&amp;"""


def pytest_collection_modifyitems(items):
    """A browser on a machine that is short of everything may fail a test once; what fails twice is broken."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _pipeline_conftest():
    path = ROOT / "tests" / "pipeline" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pipeline_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path):
    """A clone of this repository, as the tests of the pipeline use it."""
    return _pipeline_conftest().Clone(tmp_path / "clone")


def launched(browser_type, *flags):
    """The system's Chromium, started with ``flags``."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium is installed")
    # Chromium's own sandbox needs a user that is not root.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return browser_type.launch(executable_path=program, args=[*arguments, *flags])


# For a module, not for the session: while playwright runs, no other test could run an event loop.
@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = launched(playwright.chromium)
        yield browser
        browser.close()


AXE = ROOT / ".cache/node/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def faults():
    """A function that returns what axe, which knows the rules of accessibility, finds wrong with a page."""
    if not AXE.is_file():
        pytest.skip("no axe: npm install --prefix .cache/node axe-core@4.14.1")
    program = AXE.read_text(encoding="utf-8")

    def find(page):
        page.evaluate(program)
        found = page.evaluate("rules => axe.run({ runOnly: rules })", RULES)
        assert found["passes"]
        return [
            f"{fault['id']}: {node['html']}: {node['failureSummary']}"
            for fault in found["violations"]
            for node in fault["nodes"]
        ]

    return find


@pytest.fixture
def browser_tab(chromium):
    """Open a page in a browser of its own; what went wrong in it is in ``page.complaints``."""
    contexts = []

    def open_tab(address, *, width=1280, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.asked = [], []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        return page

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture
def tab(browser_tab):
    """Open the review page, and wait for its photos."""

    def open_tab(address, **options):
        page = browser_tab(address, **options)
        page.wait_for_selector("article img[src]")
        return page

    return open_tab


class Checkout:
    """A checkout at ``path``, whose review page is served."""

    def __init__(self, path):
        self.path = path

    def decisions(self):
        """The rows of data/review.csv, without the head."""
        return (self.path / "data" / "review.csv").read_text().splitlines()[1:]


class Server(Checkout):
    """``python -m stages.filter review`` in the checkout at ``path``."""

    def __init__(self, path, environment=None):
        super().__init__(path)
        environment = (environment or os.environ) | {"PYTHONUNBUFFERED": "1"}
        environment.setdefault("PYTHONPATH", str(ROOT))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stages.filter", "review", "--no-browser", "--port", "0"],
            cwd=path, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.greeting = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.greeting)
        assert found, self.greeting + self.process.stdout.read()
        self.address = found.group()

    def stop(self, how=signal.SIGINT):
        """End it; return its exit code and what it said last."""
        os.killpg(self.process.pid, how)
        said, _ = self.process.communicate(timeout=120)
        return self.process.returncode, said


class Thread(Checkout):
    """The server that the command starts, in a thread of this process: that saves two seconds of imports."""

    def __init__(self, path):
        super().__init__(path)
        data = path / "data"
        review = Review(
            Collection(data / "verdicts.csv"),
            Decisions(data / "review.csv"),
            Pictures(data / "raw"),
            Seen(cache.folder("review", "state") / "viewed.txt"),
        )
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        options = uvicorn.Config(
            application(review), log_config=None, access_log=False, lifespan="off",
            timeout_graceful_shutdown=2,
        )  # fmt: skip
        self.server = uvicorn.Server(options)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        self.address = f"http://127.0.0.1:{port}"

    def stop(self):
        """End it; what is being answered has two seconds."""
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def serve(monkeypatch):
    """Serve the review page of checkouts, until the end."""
    threads = []

    def start(path):
        monkeypatch.chdir(path)  # the working cache lies there
        threads.append(Thread(path))
        return threads[-1]

    yield start
    for thread in threads:
        thread.stop()


@pytest.fixture
def process():
    """Start servers as a person does; whatever still runs is killed at the end."""
    servers = []

    def start(path, environment=None):
        servers.append(Server(path, environment))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def crops():
    """Thirty real photographs of different shapes, as PNG."""
    cut = []
    for photo in (data.chelsea(), data.coffee(), data.astronaut(), data.rocket(), data.retina()[:400, :600]):
        height, width = photo.shape[:2]
        for number in range(6):
            top, left = number * height // 20, number * width // 20
            stream = io.BytesIO()
            Image.fromarray(photo[top : top + height // 2, left : left + width // 2]).save(stream, "PNG")
            cut.append(stream.getvalue())
    return cut


@pytest.fixture
def checkout(tmp_path, crops):
    """A checkout with thirty photos in three queries; each third is rejected, one of each query as a copy."""
    rows = []
    for number, content in enumerate(crops):
        query, checksum = ("cats", "coffee", HOSTILE)[number // 10], files.sha256(content)
        check = {0: "gray", 3: "gray", 6: "near_duplicate"}.get(number % 10, "")
        reason = {"gray": "gray: chroma_p95 2.5 under 6", "near_duplicate": f"near duplicate of {HOSTILE}"}
        width, height = Image.open(io.BytesIO(content)).size
        rows.append(
            {
                "file": f"{folder_name(query)}/{checksum[:16]}.png",
                "query": query,
                "verdict": "rejected" if check else "kept",
                "check": check,
                "reason": reason.get(check, ""),
                "duplicate_of": rows[-1]["file"] if check == "near_duplicate" else "",
                "group": f"{number // 6}",
                "sha256": checksum,
                "photograph": HOSTILE,
                "width": width,
                "height": height,
            }
        )
        path = tmp_path / "data" / "raw" / rows[-1]["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    tables.write_table(pd.DataFrame(rows), tmp_path / "data" / "verdicts.csv")
    (tmp_path / "data" / "review.csv").write_text("sha256,file,decision,note\n")
    return tmp_path
