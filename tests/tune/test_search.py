import signal
import time

import pytest
from pandas.testing import assert_frame_equal
from PIL import Image
from ruamel.yaml import YAML

from ungray.networks import load_model


def interrupted(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    return out


def test_a_search_leaves_a_table_the_best_and_charts_and_tells_each_trial(whole):
    trials = whole.trials
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["state"]) == {"complete"}
    assert (trials["epochs"] == 2).all()
    assert set(trials["train.batch_size"]) <= {4, 8}
    assert trials["train.lr"].between(0.0001, 0.01).all()
    assert trials["gray_ciede2000"].nunique() == 1
    best = trials.loc[trials["ciede2000"].idxmin()]
    overlay = YAML(typ="safe").load(whole.path / "reports/tune/best.yaml")
    drawn = {key.removeprefix("train."): best[key] for key in trials.columns if key.startswith("train.")}
    assert overlay == {"train": {"flip": False, **drawn}}
    for name in ("history", "importance", "slices"):
        with Image.open(whole.path / f"reports/tune/{name}.png") as chart:
            assert chart.width == 880
    (winner,) = whole.path.glob(".cache/tune/*/winner/*")
    assert winner.name == f"trial-{best['trial']:04}.safetensors", (
        "the best trial's model is kept, and no other"
    )
    assert load_model(winner).provenance["train"]["lr"] == pytest.approx(best["train.lr"])
    assert whole.said.count("complete: CIEDE2000") == 4
    assert f"the best is trial {best['trial']}" in whole.said
    assert "tune apply" in whole.said
    assert "train: epoch" not in whole.said, "a trial has one line; the rest is in its log"
    assert not list(whole.path.glob(".cache/train/*/checkpoint*")), "finished trials leave no checkpoint"


def test_run_again_it_has_nothing_to_do_and_writes_the_same_bytes(copy_of_whole):
    folder = copy_of_whole.path / "reports/tune"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "0 of 4 trials to do" in copy_of_whole.call()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_table_can_be_shown_and_the_best_applied_with_nothing_else_changed(copy_of_whole):
    place, trials = copy_of_whole, copy_of_whole.trials
    shown = place.call("show")
    assert "4 of 4 trials are done" in shown
    assert all(f"{score:g}" in shown for score in trials["ciede2000"])
    path = place.path / "params.yaml"
    before = path.read_text().splitlines()
    out = place.call("apply")
    after = path.read_text().splitlines()
    best = trials.loc[trials["ciede2000"].idxmin()]
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == out.count(" -> ") > 0
    assert {line.split(":")[0].strip() for line in changed} <= {"flip", "batch_size", "lr", "loss"}
    assert all("#" in line for line in changed), "comments stay"
    assert f"train.lr: 0.001 -> {best['train.lr']}" in out
    assert "Next: `dvc repro`" in out
    # What was applied is no new setting of the search.
    assert "4 of 4 trials are done" in place.call("show")
    assert "already has these values" in place.call("apply")


def test_more_trials_go_on_and_changed_settings_begin_a_new_search_and_say_so(copy_of_whole):
    place, before = copy_of_whole, copy_of_whole.trials
    place.set(trials=5)
    assert "resuming the search with these settings; 1 of 5 trials to do" in place.call()
    assert_frame_equal(place.trials.head(4), before)
    place.set(trials=1, seed=7)
    assert "seed changed since the last search, so a new one begins" in place.call()
    assert len(place.trials) == 1
    place.set(trials=4, seed=1)
    assert "resuming the search with these settings; 4 of 4" in place.call("show")


def test_killed_in_a_trial_and_later_stopped_by_ctrl_c_it_goes_on_and_ends_with_the_same_table(place, whole):
    process = place.start(hurried=True)
    place.wait_for_log("epoch 1/", 1)
    process.kill()
    process.communicate()
    time.sleep(place.grace)  # until its trial counts as given up; else the next one would come first
    process = place.start(hurried=True)
    place.wait_for_log("M parameters", 2)
    assert "resuming the search with these settings; 3 of 4 trials to do" in interrupted(process)
    assert_frame_equal(place.trials, whole.trials.head(2))
    assert "resuming the search with these settings; 2 of 4 trials to do" in place.call()
    assert_frame_equal(place.trials, whole.trials)


def test_two_workers_share_the_trials_and_none_is_lost_or_done_twice(place, whole):
    out = place.run("--workers", "2")
    assert out.count("complete: CIEDE2000") == 4
    assert_frame_equal(place.trials.drop(columns="ciede2000"), whole.trials.drop(columns="ciede2000"))
    # With fewer threads sums are added in another order.
    assert (place.trials["ciede2000"] - whole.trials["ciede2000"]).abs().max() < 0.05
    assert [log.read_text().count("M parameters") for log in place.logs()] == [1, 1, 1, 1]


def test_ctrl_c_stops_workers_and_a_killed_search_takes_its_workers_along(place):
    process = place.start("--workers", "2", hurried=True)
    place.wait_for_log("M parameters", 1)
    interrupted(process)
    process = place.start("--workers", "2", hurried=True)
    place.wait_for_log("M parameters", 3)
    process.kill()
    process.communicate()  # ends when the workers, who hold the same pipes, have ended too
    place.call()
    assert list(place.trials["trial"]) == [0, 1, 2, 3]
    assert set(place.trials["state"]) == {"complete"}


def test_where_every_trial_fails_that_is_said(place):
    # Each is allowed for itself, both together never are.
    place.set(space={"train.loss": ["classes"], "train.architecture": ["cnn"]}, trials=1)
    assert "no trial is complete; reports/tune/trials.csv has the reasons" in place.call(code=1)
    assert "not found: no trial is complete" in place.call("apply", code=1)


def test_without_prepared_photos_it_says_what_makes_them(place):
    (place.path / "data/prepared/index.csv").unlink()
    assert "data/prepared/index.csv not found; `dvc repro prepare` makes it" in place.call(code=1)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "an address looks like"),
        ("mongodb://host/name", "can't be used"),
        ("postgresql+nothing://me:secret@host/name", "can't be used"),
        ("sqlite:////no/such/folder/x.db", "there is no such folder"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_its_password(place, address, words):
    place.set(storage=address)
    said = place.call("show", code=1)
    assert said.startswith("error: tune.storage: ")
    assert words in said
    assert "secret" not in said
    assert said.count("\n") == 1


def test_another_database_can_be_named_with_its_password_in_the_environment(place, monkeypatch):
    monkeypatch.setenv("WHERE", str(place.path / "shared.db"))
    place.set(storage="sqlite:///$WHERE", trials=1)
    place.call()
    assert (place.path / "shared.db").is_file()
    assert not (place.path / ".cache/tune/studies.db").exists()
