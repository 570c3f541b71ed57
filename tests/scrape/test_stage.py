"""`python -m stages.scrape` as a person and as DVC run it, against the stand-in."""

import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from ruamel.yaml import YAML

from stages.scrape import gather, manifest
from ungray.system.files import whole_folder

QUERIES = {"cats": range(60), "dogs": range(50, 80), "owls": range(100, 120)}


@pytest.fixture
def filled(stand_in):
    """The stand-in with three queries; two photos are in both of two of them, some links are dead."""
    for query, numbers in QUERIES.items():
        stand_in.finds(query, *(f"/photo/{number}.jpg" for number in numbers), f"/missing/{query}.jpg")
    return stand_in


def ended(running, code=0):
    said, complained = running.communicate(timeout=120)
    assert running.returncode == code, complained
    return said, complained


def without_times(manifest):
    return pd.read_csv(manifest, dtype=str, keep_default_na=False).drop(columns="fetched_at")


def test_a_run_says_what_it_did_in_a_table_and_is_quiet_where_nobody_looks_on(filled, stage, tmp_path):
    filled.trouble["lynxes"] = "captcha", 0
    said, complained = ended(stage(queries=[*QUERIES, "lynxes"]))
    assert said.splitlines() == [
        "scrape: 110 photos for 4 queries from bing",
        "           asked  found  fetched   kept  refused",
        "cats         100     61       60     60        1  1 HTTP 404",
        "dogs         100     31       30     30        1  1 HTTP 404",
        "lynxes       100      0        0      0        0  1 search failed",
        "owls         100     21       20     20        1  1 HTTP 404",
        "4 queries    400    113      110    110        3",
        "refused: 3 HTTP 404, 1 search failed",
    ]
    assert complained.startswith("lynxes: search failed: Bing asks for a captcha")
    assert len(complained.splitlines()) == 1
    assert len(list((tmp_path / "checkout/data/raw").rglob("*.jpg"))) == 110


def test_photos_of_a_removed_query_leave_with_a_count_also_when_dvc_deleted_the_manifest(
    filled, stage, tmp_path
):
    ended(stage(queries=list(QUERIES)))
    (tmp_path / "checkout/data/manifest.csv").unlink()
    said, _ = ended(stage(queries=["cats", "dogs"]))
    assert said.endswith(
        "20 photos of 1 query no longer asked for (owls) left data/raw; the cache keeps them\n"
    )
    said, _ = ended(stage(queries=["cats", "dogs"]))
    assert "left data/raw" not in said


MOMENTS = {
    "while it searches": lambda server, top: len(server.asked) == 3,
    "at the first photo": lambda server, top: sum(server.fetched.values()) >= 1,
    "at the last photos": lambda server, top: sum(server.fetched.values()) >= 95,
    "while it fills data/raw": lambda server, top: len(list((top / "data").glob(".raw.partial/*/*"))) >= 10,
}


@pytest.fixture
def in_process(bing, scrape_params, monkeypatch):
    """Gathers the three queries in a checkout as the stage does, and returns the manifest's path."""

    def run(top):
        monkeypatch.chdir(top)
        with whole_folder(top / "raw") as raw:
            attempts = gather.run(scrape_params(source="bing", queries=tuple(QUERIES)), raw)
        manifest.write(attempts, top / "manifest.csv")
        return top / "manifest.csv"

    return run


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_next_run_ends_as_if_nothing_had_been(
    filled, stage, in_process, tmp_path, moment
):
    (tmp_path / "whole").mkdir()
    undisturbed, once = in_process(tmp_path / "whole"), filled.fetched.copy()
    filled.fetched.clear()
    filled.asked.clear()
    filled.pause = 0.02
    top = tmp_path / "killed"
    running = stage("killed", queries=list(QUERIES), connections=4)
    deadline = time.monotonic() + 300
    while not MOMENTS[moment](filled, top):
        assert running.poll() is None, f"it ended before: {running.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    assert not (top / "data/raw").exists()
    ended(stage("killed", queries=list(QUERIES), connections=4))
    ran_on = top / "data/manifest.csv"
    pd.testing.assert_frame_equal(without_times(ran_on), without_times(undisturbed))
    # four in flight, and a few that had come and were not yet noted
    assert sum((filled.fetched - once).values()) <= 8
    assert sorted(p.name for p in (top / "data").iterdir()) == ["blocked.csv", "manifest.csv", "raw"]
    connections = filled.connections
    assert in_process(top).read_bytes() == ran_on.read_bytes(), "times as well"
    assert filled.connections == connections


def test_ctrl_c_ends_with_130_and_the_next_run_goes_on(filled, stage):
    filled.pause = 0.5
    running = stage(queries=["cats"], connections=2)
    while sum(filled.fetched.values()) < 10:
        time.sleep(0.001)
    running.send_signal(signal.SIGINT)
    _, complained = ended(running, 130)
    assert complained.splitlines()[-1] == "interrupted"
    filled.pause = 0
    ended(stage(queries=["cats"], connections=2))
    assert sum(filled.fetched.values()) <= 61 + 2


def test_a_photo_that_data_blocked_names_is_refused_from_a_folder_too(stage, tmp_path, stand_in):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number in (1, 2):
        (inbox / f"{number}.jpg").write_bytes(stand_in.photo(number))
    changes = {"source": "folder", "folder": str(inbox)}
    ended(stage(**changes))
    table = pd.read_csv(tmp_path / "checkout/data/manifest.csv", dtype=str, keep_default_na=False)
    out = table["sha256"][0]
    ended(stage(blocked=[out], **changes))
    table = pd.read_csv(tmp_path / "checkout/data/manifest.csv", dtype=str, keep_default_na=False)
    assert list(table["reason"]) == ["taken out", ""]
    assert list(table["url"]) == ["", "2.jpg"]
    assert not list((tmp_path / "checkout").rglob(f"*{out[:16]}*"))


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_without_the_list_of_blocked_photos_nothing_is_gathered(stage, tmp_path, stand_in, damage):
    running = stage(blocked=None if damage == "missing" else "", source="sample")
    _, complained = ended(running, 1)
    assert complained.startswith("error: data/blocked.csv")
    assert len(complained.splitlines()) == 1
    assert not (tmp_path / "checkout/data/raw").exists()


@pytest.mark.pipeline
def test_a_clone_that_adds_a_query_keeps_the_photos_of_the_others(filled, stage, tmp_path):
    """With real git and DVC: the cache is lost, what the last commit knows is taken up from there."""
    top = tmp_path / "checkout"
    ended(stage(queries=["cats", "dogs"]))
    table = top / "data/manifest.csv"
    pipeline = {
        "stages": {
            "scrape": {
                "cmd": f"{sys.executable} stage.py",
                "params": ["scrape"],
                "outs": ["data/raw"],
                "plots": [{"data/manifest.csv": {"cache": False}}],
            }
        }
    }
    YAML().dump(pipeline, top / "dvc.yaml")
    (top / "stage.py").write_text(
        "import subprocess, sys\n"
        f"sys.exit(subprocess.run([sys.executable, '-c', *{stage.arguments()!r}]).returncode)\n"
    )
    (top / ".gitignore").write_text("/.cache/\n/data/raw\n")

    def run(*command):
        done = subprocess.run(command, cwd=top, env=stage.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    run("git", "init", "-q")
    run("dvc", "init", "-q")
    run("dvc", "repro")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "cats and dogs")
    before = table.read_text().splitlines()
    shutil.rmtree(top / ".cache")
    filled.asked.clear()
    filled.fetched.clear()
    filled.gone = {1}  # the network lost a photo; DVC has it
    stage.set(top, queries=["cats", "dogs", "owls"])
    said = run("dvc", "repro")
    assert "resuming from the searches and downloads of the last commit" in said
    assert "restored from DVC 80 of 80 photos that the cache had lost" in said
    assert {asked["q"] for asked in filled.asked} == {"owls"}
    assert set(filled.fetched) == {*(f"/photo/{n}.jpg" for n in QUERIES["owls"]), "/missing/owls.jpg"}
    assert set(before) < set(table.read_text().splitlines())
    # Where DVC has lost the photos as well they are fetched again; one that is gone is refused.
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "owls")
    before = table.read_text().splitlines()
    shutil.rmtree(top / ".cache")
    shutil.rmtree(top / ".dvc/cache")
    run("dvc", "repro", "--force")
    after = table.read_text().splitlines()
    assert [line for line in before if line not in after] == [
        line for line in before if "/photo/1.jpg" in line
    ]
    assert sum(filled.fetched.values()) == 21 + 100
