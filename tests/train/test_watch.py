"""The watch page without a browser: what is read of trainings in every state, and what the server answers."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from starlette.testclient import TestClient

from stages.train import status as status_module
from stages.train.status import FILE, Status, StatusFile
from stages.train.watch import command
from stages.train.watch.curves import read_curves, read_grids, read_jpeg, read_series
from stages.train.watch.server import PAGE, Watch, application
from stages.train.watch.trainings import duration, find_trainings
from ungray.errors import UngrayError
from ungray.imaging.grids import write_jpeg

ROOT = Path(__file__).parents[2]
HERE = "http://127.0.0.1:8421"


def write_report(report, *, epochs=3, best=2, record=None):
    """Curves, metrics and grids as DVCLive writes them, after ``epochs`` epochs."""
    for name, gray in (("loss", 0.5), ("ciede2000", 12.0)):
        folder = report / "plots/metrics" / name
        folder.mkdir(parents=True, exist_ok=True)
        for line in ("val", "gray"):
            values = [gray * (1 if line == "gray" else 0.8 + 0.01 * abs(n - best)) for n in range(epochs + 1)]
            rows = "".join(f"{epoch}\t{value}\n" for epoch, value in enumerate(values))
            (folder / f"{line}.tsv").write_text(f"step\t{line}\n{rows}")
    (report / "plots/metrics/learning_rate.tsv").write_text("step\tlearning_rate\n1\t0.0001\n2\t0.00005\n")
    for epoch in range(epochs + 1):
        write_jpeg(report / f"plots/images/grid/{epoch:04}.jpg", np.full((40, 60, 3), 40 * epoch, np.uint8))
    written = {"loss": {"val": (record or {"loss/val": 0.4})["loss/val"]}, "step": epochs}
    (report / "metrics.json").write_text(json.dumps(written))


def write_status(top, report, *, work="0123", settings=(), **changes):
    """The status of a training that runs in this process."""
    process = psutil.Process()
    about = Status(
        report=str(report), host=socket.gethostname(), process=process.pid,
        process_began=process.create_time(), updated=time.time(),
        epoch=3, step=30, steps=100, epochs=10, pace=40.0, seconds_left=65.0, record={"loss/val": 0.4},
    )  # fmt: skip
    folder = top / ".cache/train" / work
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(asdict(replace(about, **changes))))
    (folder / "settings.json").write_text(json.dumps(dict(settings)))
    return folder


@pytest.fixture
def top(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


@pytest.fixture
def report(top):
    """The reports of three epochs in ``top`` itself."""
    write_report(top / "reports/train")
    return top / "reports/train"


def client(top, **options):
    return TestClient(application(Watch(top)), base_url=HERE, **options)


def state(tab, **query):
    answer = tab.get("/api/state", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def files(folder):
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


class TestFiles:
    """What DVCLive writes, in the middle of writing."""

    def test_a_row_that_is_half_written_or_no_number_is_left_out(self, tmp_path):
        path = tmp_path / "val.tsv"
        for text, points in (
            ("step\tval\n0\t0.5\n1\t0.25", [(0, 0.5)]),
            ("step\tval\n0\t0.5\n1\t0.25\n", [(0, 0.5), (1, 0.25)]),
            ("step\tval\n0\t0.5\n1\tnan\n2\tinf\n3\tx\n4\n5\t1\t2\n6\t0.1\n", [(0, 0.5), (6, 0.1)]),
            ("step\tval\n1\t0.5\n0\t0.7\n1\t0.4\n", [(0, 0.7), (1, 0.4)]),  # logged anew when it resumed
            ("step\tval\n", []), ("st", []), ("", []),
        ):  # fmt: skip
            path.write_text(text)
            assert read_series(path) == points
        path.write_bytes(b"step\tval\n0\t0.5\n\xff\xfe\x00\n")
        assert read_series(path) == [(0, 0.5)]
        path.unlink()
        assert read_series(path) == read_series(path / "deeper") == []

    def test_curves_come_in_order_with_title_texts_and_best_epoch(self, report):
        curves = read_curves(report)
        assert [curve.name for curve in curves] == ["loss", "ciede2000", "learning_rate"]
        assert curves[1].title == "CIEDE2000 (lower is better)"
        assert curves[1].best() == (2, pytest.approx(9.6))
        assert curves[1].described()["texts"]["gray"] == ["12.00"] * 4
        assert curves[2].described()["texts"] == {"train": ["0.0001", "5e-05"]}
        assert curves[2].best() is None

    def test_of_a_metric_where_more_is_better_the_highest_is_best(self, tmp_path):
        (tmp_path / "plots/metrics/psnr").mkdir(parents=True)
        (tmp_path / "plots/metrics/psnr/val.tsv").write_text("step\tval\n0\t20\n1\t22\n2\t22\n")
        assert read_curves(tmp_path)[0].best() == (1, 22.0)

    def test_a_picture_that_is_half_written_is_none(self, report):
        newest = read_grids(report)[3]
        whole = newest.read_bytes()
        assert read_jpeg(newest) == whole
        for part in (whole[: len(whole) // 2], whole[:-1], b""):
            newest.write_bytes(part)
            assert read_jpeg(newest) is None
        (report / "plots/images/grid/other.jpg").write_bytes(whole)
        assert list(read_grids(report)) == [0, 1, 2, 3]

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "{}", '{"report": "x", "of": "a later version"}', "null", "3"]
    )
    def test_a_status_that_is_none_is_left_out(self, top, text):
        path = top / ".cache/train/1" / FILE
        path.parent.mkdir(parents=True)
        path.write_text(text)
        assert [training.state for training in find_trainings(top)] == ["waiting"]


class TestStates:
    """Before, during and after a training."""

    def test_before_a_training_it_waits(self, top):
        (training,) = find_trainings(top)
        assert (training.state, training.title) == ("waiting", "in this folder")
        assert "No training has begun" in training.sentence([])

    def test_after_a_training_it_has_ended(self, top, report):
        (training,) = find_trainings(top)
        assert training.state == "ended"
        assert training.sentence(read_curves(report)) == "It has ended, after epoch 3."

    def test_a_training_says_how_far_it_is_how_fast_and_how_long(self, top, report):
        write_status(top, report, settings={"train.architecture": "unet", "train.lr": 0.001, "device": "cpu"})
        (training,) = find_trainings(top)
        assert training.state == "running"
        assert training.sentence([]) == "Epoch 4 of 10, step 30 of 100. 40 photos/s, 65 s left."
        assert training.facts == "unet · lr 0.001 · on cpu"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (
                {"steps": 0, "epochs": 0},
                "Epoch 4, step 30. 40 photos/s. Once the pace is known, so is how many steps there will be.",
            ),
            ({"pace": 0.0}, "It begins: the first step has not ended yet."),
            (
                {"epoch": 10, "step": 100, "seconds_left": 0.0},
                "Epoch 10 of 10, step 100 of 100. 40 photos/s, 0 s left.",
            ),
            ({"pace": 1.66}, "Epoch 4 of 10, step 30 of 100. 1.7 photos/s, 65 s left."),
            ({"seconds_left": 7800.0}, "Epoch 4 of 10, step 30 of 100. 40 photos/s, 2 h 10 min left."),
        ],
    )  # fmt: skip
    def test_what_is_not_known_is_not_said(self, top, report, changes, said):
        write_status(top, report, **changes)
        assert find_trainings(top)[0].sentence([]) == said

    def test_one_that_has_been_silent_says_so(self, top, report):
        write_status(top, report, updated=time.time() - 600)
        assert "nothing for 10 min" in find_trainings(top)[0].sentence([])

    @pytest.mark.parametrize("changes", [{"process_began": 1.0}, {"process": 2**22 + 7}, {"stopped": True}])
    def test_one_whose_process_has_gone_was_stopped(self, top, report, changes):
        write_status(top, report, **changes)
        (training,) = find_trainings(top)
        assert training.state == "stopped"
        assert training.sentence([]).startswith("It was stopped or killed at step 30 of 100.")

    def test_a_process_that_nobody_has_waited_for_no_longer_trains(self, top, report):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        write_status(top, report, process=child.pid, process_began=psutil.Process(child.pid).create_time())
        assert find_trainings(top)[0].state == "running"
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert find_trainings(top)[0].state == "stopped"
        child.wait()

    def test_on_another_machine_it_runs_while_it_writes(self, top, report):
        write_status(top, report, host="elsewhere", process=1)
        assert find_trainings(top)[0].state == "running"
        write_status(top, report, host="elsewhere", process=1, updated=time.time() - 600)
        assert find_trainings(top)[0].state == "stopped"

    def test_curves_of_a_later_training_are_not_those_of_the_one_that_was_stopped(self, top, report):
        for changes in ({"record": {"loss/val": 0.39}}, {"epoch": 2}, {"record": {}}):
            write_status(top, report, stopped=True, **changes)
            assert [training.state for training in find_trainings(top)] == ["ended"]

    def test_those_that_run_in_other_folders_come_first_by_name(self, top, report):
        copies = top / ".dvc/tmp/exps"
        for number, name in enumerate(("lr-2", "lr-1")):
            write_status(top, copies / f"tmp{number}/reports/train", work=f"a{number}", experiment=name)
        write_status(top, top / ".cache/tune/f/trial-0004/report", work="b", step=0, pace=0.0)
        write_status(top, copies / "gone/reports/train", work="c", stopped=True)
        titles = [(training.title, training.state) for training in find_trainings(top)]
        assert titles == [
            ("experiment lr-1", "running"), ("experiment lr-2", "running"),
            ("trial 4 of a search", "running"), ("in this folder", "ended"),
        ]  # fmt: skip

    def test_of_two_that_wrote_to_one_folder_the_later_counts(self, top, report):
        write_status(top, report, work="old", stopped=True, updated=time.time() - 9)
        write_status(top, report, work="new", experiment="faster")
        assert [(t.title, t.state) for t in find_trainings(top)] == [
            ("experiment faster, in this folder", "running")
        ]

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5340, "89 min"), (5400, "1 h 30 min")],
    )  # fmt: skip
    def test_durations(self, seconds, text):
        assert duration(seconds) == text


class TestServer:
    """What the page is answered."""

    def test_one_answer_has_all_that_the_page_shows(self, top, report):
        write_status(top, report)
        tab = client(top)
        found = state(tab)
        assert found["trainings"] == [{"id": found["id"], "title": "in this folder", "state": "running"}]
        assert (found["step"], found["steps"]) == (30, 100)
        assert found["best"] == (
            "Best CIEDE2000 of the val photos: 9.60, after epoch 2; the gray photos have 12.00."
        )
        assert [curve["name"] for curve in found["curves"]] == ["loss", "ciede2000", "learning_rate"]
        picture = found["pictures"]["grid"]
        assert picture["epoch"] == 3
        answer = tab.get(picture["address"])
        assert answer.content == (report / "plots/images/grid/0003.jpg").read_bytes()
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert "learning" not in found["pictures"]

    def test_curves_that_the_page_has_are_not_sent_again(self, top, report):
        tab = client(top)
        first = state(tab)
        again = state(tab, have=first["version"])
        assert "curves" not in again
        assert again["version"] == first["version"]
        with (report / "plots/metrics/loss/val.tsv").open("a") as file:
            file.write("4\t0.1\n")
        assert state(tab, have=first["version"])["curves"][0]["lines"]["val"][-1] == [4, 0.1]

    def test_a_grid_that_is_half_written_leaves_the_one_before(self, top, report):
        newest = report / "plots/images/grid/0003.jpg"
        newest.write_bytes(newest.read_bytes()[:99])
        assert state(client(top))["pictures"]["grid"]["epoch"] == 2

    def test_outputs_that_dvc_deletes_leave_a_page_that_waits(self, top, report):
        tab = client(top)
        address = state(tab)["pictures"]["grid"]["address"]
        shutil.rmtree(report / "plots")
        found = state(tab)
        assert (found["state"], found["curves"], found["pictures"], found["best"]) == ("waiting", [], {}, "")
        assert tab.get(address).status_code == 404

    def test_an_experiment_whose_folder_dvc_has_removed_is_still_shown_as_ended(self, top):
        copy = top / ".dvc/tmp/exps/tmp1"
        write_report(copy / "reports/train")
        work = write_status(top, copy / "reports/train", experiment="lr-1")
        tab = client(top)
        seen = state(tab)
        assert seen["title"] == "experiment lr-1"
        shutil.rmtree(work)
        shutil.rmtree(copy)
        found = state(tab, training=seen["id"])
        assert (found["state"], found["sentence"]) == ("ended", "It has ended, after epoch 3.")
        assert found["curves"] == seen["curves"]
        assert tab.get(found["pictures"]["grid"]["address"]).status_code == 200

    def test_another_training_can_be_chosen_and_one_that_is_unknown_is_the_first(self, top, report):
        write_status(top, top / ".dvc/tmp/exps/tmp1/reports/train", experiment="lr-1", step=0, pace=0.0)
        tab = client(top)
        found = state(tab)
        assert found["title"] == "experiment lr-1"
        here = next(it["id"] for it in found["trainings"] if it["title"] == "in this folder")
        assert state(tab, training=here)["state"] == "ended"
        assert state(tab, training="../../etc")["title"] == "experiment lr-1"

    def test_nothing_is_written(self, top, report):
        write_status(top, report)
        before = files(top)
        tab = client(top)
        tab.get(state(tab)["pictures"]["grid"]["address"])
        assert files(top) == before

    @pytest.mark.parametrize(
        "path",
        ["/pictures/x/grid.jpg", "/pictures/..%2fdvc.yaml.jpg", "/../server.py", "/%2e%2e/server.py"],
    )
    def test_no_path_of_a_request_reaches_a_file(self, top, report, path):
        assert client(top).get(path).status_code == 404

    def test_other_sites_are_refused_and_nothing_can_be_posted(self, top):
        tab = client(top)
        assert tab.get("/api/state", headers={"Host": "evil.example"}).status_code == 403
        assert tab.get("/api/state", headers={"Origin": "https://evil.example"}).status_code == 403
        assert tab.post("/api/state").status_code == 405
        assert "script-src 'self'" in tab.get("/").headers["Content-Security-Policy"]

    def test_the_page_names_no_other_address(self):
        for path in PAGE.iterdir():
            named = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text()))
            assert named <= {"http://www.w3.org"}, path


class TestStatus:
    """What a training writes for the page."""

    def test_it_is_written_at_most_every_two_seconds_within_an_epoch(self, tmp_path, monkeypatch):
        clock = iter([0.0, 10.0, 11.0, 12.5, 13.0])
        monkeypatch.setattr(status_module.time, "time", lambda: next(clock))
        monkeypatch.setenv("DVC_EXP_NAME", "faster")
        file = StatusFile(tmp_path / "work", tmp_path / "report")
        monkeypatch.setattr(file, "_written", next(clock) - 9)
        steps = []
        for step, at_once in ((1, False), (2, False), (3, False), (4, True)):
            file.write(at_once=at_once, step=step)
            steps.append(Status.load(tmp_path / "work" / FILE).step)
        assert steps == [1, 1, 3, 4]
        written = Status.load(tmp_path / "work" / FILE)
        assert (written.experiment, written.process) == ("faster", os.getpid())
        assert written.report == str(tmp_path / "report")
        assert written.is_running()

    def test_a_full_disk_ends_no_training(self, tmp_path, monkeypatch):
        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        file = StatusFile(tmp_path / "work", tmp_path / "report")
        monkeypatch.setattr(Path, "write_text", full)
        file.write(step=1)
        assert not (tmp_path / "work" / FILE).exists()

    def test_training_says_how_far_it_is_and_that_it_was_stopped(self, trained, here):
        seen = []

        def look(epoch, record):
            (training,) = find_trainings(here)
            seen.append((training.status.epoch, training.status.step, training.status.steps, training.state))
            if epoch == 2:
                raise KeyboardInterrupt

        (here / "reports").mkdir()
        with pytest.raises(KeyboardInterrupt):
            trained(report="reports/train", epochs=3, on_epoch=look)
        a_step, total = seen[0][1], seen[0][2]
        assert total == 3 * a_step
        assert seen == [(1, a_step, total, "running"), (2, 2 * a_step, total, "running")]
        (training,) = find_trainings(here)
        assert training.state == "stopped"
        assert (training.status.pace > 0, training.status.seconds_left > 0) == (True, True)
        trained(report="reports/train", epochs=3)
        (training,) = find_trainings(here)
        assert training.state == "ended"
        assert read_curves(here / "reports/train")[0].lines["val"][-1][0] == 3


class TestCommand:
    """The command, as a person starts it."""

    def test_elsewhere_it_says_where_to_run_it(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UngrayError, match=r"no dvc\.yaml"):
            command.main(["--no-browser"])

    def test_a_port_that_is_taken_is_refused(self, top, monkeypatch):
        monkeypatch.chdir(top)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(UngrayError, match=f"port {port} is not available"):
                command.main(["--no-browser", "--port", str(port)])

    def test_it_shows_a_real_training_while_it_goes_on(self, top, prepared, tiny):
        """A process that trains, and the command beside it."""
        (top / "params.yaml").write_text(_params(tiny, epochs=400))
        (top / "data").mkdir()
        shutil.copytree(prepared, top / "data/prepared")
        paths = f"{ROOT}{os.pathsep}{ROOT / 'stages'}"
        options = {"cwd": top, "env": os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}}
        train = [sys.executable, "-m", "stages.train"]
        watch = subprocess.Popen(
            [*train, "watch", "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True, **options
        )
        training = None
        try:
            address = re.search(r"http://\S+", watch.stdout.readline()).group()
            asked = lambda: httpx.get(f"{address}/api/state", timeout=30).json()  # noqa: E731
            assert asked()["state"] == "waiting"
            training = subprocess.Popen(train, stdout=subprocess.DEVNULL, **options)
            found = _until(lambda: (it := asked())["best"] and it["step"] > 20 and it)
            assert found["state"] == "running"
            assert re.match(
                r"Epoch \d+ of 400, step \d+ of \d+\. [\d.]+ photos/s, .* left\.", found["sentence"]
            )
            assert found["curves"][0]["lines"].keys() == {"train", "val", "gray"}
            assert httpx.get(address + found["pictures"]["grid"]["address"]).content[:2] == b"\xff\xd8"
            training.kill()
            training.wait()
            assert asked()["state"] in ("stopped", "ended")
            watch.send_signal(signal.SIGINT)
            assert watch.wait(30) == 0
        finally:
            for process in filter(None, (watch, training)):
                process.kill()
                process.wait()
                if process.stdout:
                    process.stdout.close()


def _params(tiny, *, epochs):
    from ruamel.yaml import YAML

    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["train"] = tiny["train"].model_dump(mode="json") | {"epochs": epochs}
    content["machine"] |= {"workers": 1, "device": "cpu", "precision": "fp32", "threads": 1}
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def _until(found, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.2)
    raise AssertionError("it did not come")
