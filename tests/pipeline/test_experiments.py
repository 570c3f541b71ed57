"""DVC's own ways with experiments, plots and the registry, as README tells them, for real."""

import functools
import http.server
import json
import re
import shutil
import threading
import time
from contextlib import contextmanager

import pandas as pd
import pytest
from PIL import Image

from stages.train.watch.trainings import find_trainings

pytestmark = pytest.mark.pipeline

LOSS, CIEDE2000 = "Loss", "reports/queries.csv"


@pytest.fixture
def clean(repro):
    """The tiny clone in which the workflow ran, brought back to that afterwards."""
    yield repro
    repro.run("git", "checkout", "-q", "--force", "main")
    repro.run("dvc", "checkout", "--force")
    assert repro.run("git", "status", "--porcelain").stdout == ""


@contextmanager
def watching(clone):
    """Yield a set that takes the trainings that the watch page finds meanwhile, by title and state."""
    seen, ended = set(), threading.Event()

    def watch():
        while not ended.wait(0.05):
            seen.update((training.title, training.state) for training in find_trainings(clone.path))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def in_a_temporary_folder(repro):
    """What DVC said when it ran the experiment "slower" in a temporary folder, and the trainings seen."""
    with watching(repro) as seen:
        said = repro.run("dvc", "exp", "run", "--temp", "-n", "slower", "-S", "train.lr=0.0005").stdout
    return said, seen


@pytest.fixture(scope="module")
def slower(in_a_temporary_folder):
    """What DVC said when it ran the experiment "slower"; several tests look at that."""
    return in_a_temporary_folder[0]


@pytest.fixture(scope="module")
def queued(repro):
    """The trainings seen while a queue ran "flip-1", params as they are, and "flip-2", which trains."""
    said = repro.run(
        "dvc", "exp", "run", "--queue", "-n", "flip", "-S", "train.flip=choice(true,false)"
    ).stdout  # fmt: skip
    names = re.findall(r"Queued experiment '([\w-]+)'", said)
    assert names == ["flip-1", "flip-2"]
    with watching(repro) as seen:
        repro.run("dvc", "queue", "start")
        beside = repro.run("dvc", "repro").stdout
        deadline = time.monotonic() + 1800
        while "Queued" in (status := repro.run("dvc", "queue", "status").stdout) or "Running" in status:
            assert time.monotonic() < deadline, status
            # DVC's worker ends early where a busy machine keeps it from answering its own watch for a second.
            if "Running" not in status and "Worker status: 0 active, 0 idle" in status:
                repro.run("dvc", "queue", "start")
            # Asking costs two seconds of computing; what has ended can be seen in Git.
            until = time.monotonic() + 30
            while time.monotonic() < until and not set(names) <= _in_git(repro):
                time.sleep(1)
    assert status.count("Success") == 2, status
    assert "Data and pipelines are up to date" in beside, "it runs beside a queue"
    return seen


def _rows(clone):
    shown = clone.run("dvc", "exp", "show", "--json").stdout
    (head,) = [rev for rev in json.loads(shown) if rev["rev"] != "workspace"]
    return {
        experiment["revs"][0]["name"]: experiment["revs"][0]["data"]
        for experiment in head["experiments"] or []
    }


def _in_git(clone):
    """The names of the experiments that have ended well."""
    shown = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    return {name.rpartition("/")[2] for name in shown}


def test_an_experiment_in_a_temporary_folder_uses_the_main_checkouts_cache(slower, repro):
    assert "slower" in repro.run("dvc", "exp", "list", "--name-only").stdout
    assert repro.run("git", "status", "--porcelain").stdout == ""
    assert len(list((repro.path / ".cache/pixels").iterdir())) == 2, "train and val, decoded once"


def test_the_watch_page_finds_the_training_of_an_experiment_in_a_temporary_folder(in_a_temporary_folder):
    assert in_a_temporary_folder[1] == {("experiment slower", "running"), ("in this folder", "ended")}


def test_the_watch_page_finds_the_training_of_a_queue(queued):
    assert queued == {("experiment flip-2", "running"), ("in this folder", "ended")}


def test_an_experiment_is_run_compared_shown_applied_and_branched(slower, clean):
    assert "Stage 'prepare' didn't change, skipping" in slower
    clean.run("dvc", "exp", "apply", "slower")
    params = json.loads(clean.run("dvc", "params", "diff", "--json").stdout)
    assert params["params.yaml"]["train.lr"] == {"old": 0.001, "new": 0.0005, "diff": -0.0005}
    metrics = json.loads(clean.run("dvc", "metrics", "diff", "--json").stdout)["reports/metrics.json"]
    assert metrics["model.ciede2000"]["diff"] != 0
    assert not [name for name in metrics if name.startswith("gray.")], "gray stays gray"
    assert len(metrics) <= 7, "what changed can be read at a glance"
    written = json.loads(clean.read("reports/metrics.json"))
    (shown,) = json.loads(clean.run("dvc", "metrics", "show", "--json").stdout).values()
    assert shown["data"]["reports/metrics.json"]["data"] == written
    row = _rows(clean)["slower"]
    assert row["metrics"]["reports/metrics.json"]["data"] == written
    assert row["params"]["params.yaml"]["data"]["train"]["lr"] == 0.0005
    clean.run("git", "checkout", "-q", ".")
    clean.run("dvc", "exp", "branch", "slower", "try-slower")
    assert "lr: 0.0005" in clean.run("git", "show", "try-slower:params.yaml").stdout
    clean.run("git", "branch", "-D", "try-slower")


def test_a_queue_with_choices_runs_one_after_the_other(queued, clean):
    flips = {
        name: row["params"]["params.yaml"]["data"]["train"]["flip"]
        for name, row in _rows(clean).items()
        if name.startswith("flip-")
    }
    assert flips == {"flip-1": True, "flip-2": False}


def test_plots_have_names_titles_and_both_axes_named_and_compare_two_runs(slower, clean):
    clean.run("dvc", "plots", "diff", "main", "slower")
    data = json.loads(clean.run("dvc", "plots", "diff", "main", "slower", "--json").stdout)
    plots = {plot.split("::")[-1]: parts for plot, parts in data["data"].items()}
    titles = {LOSS: "Loss by epoch, vs. the gray photo's", "Learning rate": "Learning rate by epoch"}
    for name in (LOSS, "Learning rate", CIEDE2000):
        (part,) = plots[name]
        content = part["content"]
        content = json.loads(content) if isinstance(content, str) else content
        assert titles.get(name, "CIEDE2000 by query") in json.dumps(content["title"])
        assert set(part["revisions"]) == {"main", "slower"}
    page = clean.read("dvc_plots/index.html")
    for title in ("loss, in the network's own units", "epoch", "CIEDE2000 minus gray's"):
        assert title in page
    images = {p.name for p in (clean.path / "dvc_plots/static").rglob("*.*")}
    assert any("queries.png" in name for name in images)
    assert any("worst.jpg" in name for name in images)
    assert any(re.search(r"0003\.jpg", name) for name in images), "a step of the slider"


def _board(clone):
    """The board's table, by each name that a model has, and what was printed."""
    said = clone.run("python", "-m", "stages.evaluate", "board").stdout
    rows = pd.read_csv(clone.path / "reports/board/board.csv", keep_default_na=False, na_values=[""])
    return {name: row for row in rows.to_dict("records") for name in row["model"].split(" = ")}, said


def test_the_board_judges_every_experiment_and_says_of_which_the_model_is_gone(slower, queued, clean):
    clean.run("dvc", "exp", "run", "--queue", "-n", "waiting", "-S", "train.lr=0.002")
    models, said = _board(clean)
    assert models["workspace"] is models["main"] is models["flip-1"], "one file is one model"
    assert "board: without a model yet: waiting (queued)" in said
    assert {name: models[name]["train.lr"] for name in ("main", "slower", "flip-2")} == {
        "main": 0.001, "slower": 0.0005, "flip-2": 0.001,
    }  # fmt: skip
    assert str(models["flip-2"]["train.flip"]) == "False"
    assert [models[name]["knows"] for name in ("main", "slower", "flip-2")] == [0, 0, 0]
    # As evaluate has judged the workspace's model: by the same call on the same photos.
    metrics = json.loads(clean.read("reports/metrics.json"))
    assert models["main"]["ciede2000"] == pytest.approx(metrics["model"]["ciede2000"], abs=1e-3)
    # What was judged stays on the board without its file; judged anew, it is a row with the reason.
    checksum = next(
        experiment["revs"][0]["data"]["outs"]["data/models/colorizer.safetensors"]["hash"]
        for rev in json.loads(clean.run("dvc", "exp", "show", "--json").stdout)
        for experiment in rev.get("experiments") or []
        if experiment["revs"][0]["name"] == "flip-2"
    )
    kept = clean.path / f".dvc/cache/files/md5/{checksum[:2]}/{checksum[2:]}"
    kept.unlink()
    assert _board(clean)[0]["flip-2"]["ciede2000"] == models["flip-2"]["ciede2000"]
    shutil.rmtree(clean.path / ".cache/board")
    gone = _board(clean)[0]["flip-2"]
    assert pd.isna(gone["ciede2000"])
    assert "its file is neither in DVC's cache nor in a remote; `dvc push`" in gone["note"]
    clean.run("dvc", "queue", "remove", "--all")


@pytest.fixture
def web(clean):
    """A web server over the clone's folder data/remote; ``asked`` lists what it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(clean.path / "data/remote"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_tagged_version_is_had_on_another_machine_over_http(slower, clean, web, tmp_path):
    before = clean.run("git", "rev-parse", "HEAD").stdout.strip()
    # What the owner does: a place that others can read, and a tag for the version.
    clean.run("dvc", "push")
    clean.run("dvc", "remote", "add", "web", f"http://127.0.0.1:{web.server_port}")
    clean.commit("published")
    clean.run("gto", "register", "colorizer", "--version", "v1.0.0")
    assert "v1.0.0" in clean.run("gto", "show").stdout
    # A later, other model must not be what is had.
    model = "data/models/colorizer.safetensors"
    wanted = (clean.path / model).read_bytes()
    clean.run("dvc", "exp", "run", "-S", "train.lr=0.0005")  # out of the run cache
    assert (clean.path / model).read_bytes() != wanted
    clean.commit("another model")
    # Another machine has the address alone: file:// makes DVC clone it, as https:// would.
    got = tmp_path / "there" / "colorizer.safetensors"
    got.parent.mkdir()
    clean.run(
        "dvc", "get", f"file://{clean.path}", model, "--rev", "colorizer@v1.0.0", "--remote", "web",
        "-o", str(got),
    )  # fmt: skip
    assert got.read_bytes() == wanted
    assert any("/files/md5/" in path for path in web.asked), web.asked
    photo = next((clean.path / "data/raw").rglob("*.png"))
    clean.run("colorize", str(photo), "-o", str(got.parent / "out.png"), "--model", str(got))
    with Image.open(got.parent / "out.png") as made, Image.open(photo) as original:
        assert made.size == original.size
    clean.run("git", "tag", "-d", "colorizer@v1.0.0")
    clean.run("git", "reset", "-q", "--hard", before)
