import dataclasses
import threading
import time
from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from stages.params import Machine, load
from stages.storage import cache
from stages.train import run as training
from stages.train.params import Params as TrainParams
from stages.train.state import State
from stages.tune import run, study, trial
from stages.tune.params import Params
from stages.tune.report import table
from stages.tune.study import results
from ungray.errors import UngrayError

SPACE = {"train.batch_size": [4, 8, 16], "train.lr": {"low": 0.0001, "high": 0.01, "log": True}}


@pytest.fixture
def begin(tiny_params, prepared, tmp_path, monkeypatch):
    """Call it to open the search of the tiny params.yaml, with changes."""
    monkeypatch.chdir(tmp_path)

    def opened(**changes):
        params = load("tune", Params, path=tiny_params).model_copy(update={"space": SPACE, **changes})
        base, machine = (
            load("train", TrainParams, path=tiny_params),
            load("machine", Machine, path=tiny_params),
        )
        return run.prepare(params, base, machine, prepared=prepared)[0]

    return opened


@pytest.fixture
def trained(monkeypatch):
    """Training that takes no time, in place of the real one; what it was asked for."""
    asked = []

    def train(params, machine, *, prepared, report, on_epoch):
        asked.append(params)
        state = State(epoch=params.epochs)
        for epoch in range(1, params.epochs + 1):
            time.sleep(0.01)
            state.log.append({"ciede2000/val": 10 + params.batch_size / epoch, "ciede2000/gray": 12.0})
            on_epoch(epoch, state.log[-1])
        model = SimpleNamespace(provenance={"epoch": params.epochs})
        return SimpleNamespace(model=model, work=cache.folder("train", "none"), state=state)

    monkeypatch.setattr("stages.train.run.run", train)
    monkeypatch.setattr("ungray.networks.save_model", lambda path, model: cache.folder("train", "saved"))
    return asked


def do_all(search):
    run.work(search, lambda: None)
    return table(results(search.study, search.params.trials), search.params)


def do_at_once(searches, monkeypatch):
    # What is printed belongs to the process, not a thread.
    monkeypatch.setattr(trial, "_written_to", nullcontext)
    workers = [threading.Thread(target=do_all, args=(search,)) for search in searches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)


def test_many_at_once_do_every_trial_once(begin, trained, monkeypatch):
    searches = [begin(trials=15) for _ in range(4)]
    do_at_once(searches, monkeypatch)
    shared = do_all(searches[0])
    assert list(shared["trial"]) == list(range(15))
    assert set(shared["state"]) == {"complete"}
    assert len(trained) == 15
    asked = Counter((params.batch_size, params.lr) for params in trained)
    assert asked == Counter(zip(shared["train.batch_size"], shared["train.lr"], strict=True))


def test_two_at_once_that_draw_the_same_train_it_once(begin, trained, monkeypatch):
    searches = [begin(space={"train.batch_size": [8]}, trials=2, epochs=100) for _ in range(2)]
    do_at_once(searches, monkeypatch)
    rows = do_all(searches[0])
    assert list(rows["state"]) == ["complete", "complete"]
    assert rows["ciede2000"].nunique() == 1
    assert len(trained) == 1


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_draws_follow_from_the_seed(begin, trained, sampler):
    first, again = begin(sampler=sampler, trials=8, seed=3), begin(sampler=sampler, trials=8, seed=3)
    drawn = do_all(first)
    assert drawn["train.lr"].nunique() == 8
    # The first trial is the defaults, whatever the seed.
    shipped = {"train.batch_size": 8, "train.lr": 0.001}
    assert {key: drawn[key][0] for key in shipped} == shipped
    again.study.tell(again.study.ask(), state=TrialState.FAIL)  # a trial that has no slot changes nothing
    fresh = begin(sampler=sampler, trials=8, seed=3, storage="sqlite:///other.db")
    assert do_all(fresh).equals(drawn)
    other = begin(sampler=sampler, trials=8, seed=4)
    assert not do_all(other)["train.lr"].equals(drawn["train.lr"])


def test_a_bad_combination_of_good_values_fails_with_its_sentence(begin, trained):
    space = {"train.loss": ["l1", "classes"], "train.architecture": ["unet", "cnn"]}
    rows = do_all(begin(space=space, trials=12))
    bad = (rows["train.loss"] == "classes") & (rows["train.architecture"] == "cnn")
    assert 0 < bad.sum() < 12
    assert (rows["state"] == "failed").equals(bad)
    assert rows.loc[bad, "note"].str.contains("needs train.architecture = unet").all()
    assert len(trained) == 3, "the same draw is trained once"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UngrayError("the loss is nan at step 3"), "the loss is nan at step 3"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate\nat x.cpp:1"),
            "DefaultCPUAllocator: can't allocate",
        ),
        (MemoryError(), "MemoryError, most likely because memory ran out"),
    ],
)
def test_what_goes_wrong_in_a_trial_is_its_note(begin, monkeypatch, error, words):
    def train(*_, **__):
        raise error

    monkeypatch.setattr("stages.train.run.run", train)
    rows = do_all(begin(trials=2))
    assert list(rows["state"]) == ["failed", "failed"]
    assert list(rows["note"]) == [words, words]


def test_a_fault_of_ours_is_not_taken_for_a_bad_trial(begin, monkeypatch):
    monkeypatch.setattr("stages.train.run.run", lambda *_, **__: {}["missing"])
    with pytest.raises(KeyError):
        do_all(begin(trials=2))


def test_a_trial_that_killed_its_process_again_and_again_is_given_up(begin, trained):
    search = begin(trials=2)
    for _ in range(study.DEATHS):
        search.study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"slot": 0, "began": True}))
    rows = do_all(search)
    assert list(rows["state"]) == ["failed", "complete"]
    assert "its process died 3 times" in rows["note"][0]


def test_a_process_that_died_before_its_first_sign_of_life_is_noticed_too(begin, trained, monkeypatch):
    monkeypatch.setattr(study, "GRACE_SECONDS", 1)
    search = begin(trials=2)
    search.study.enqueue_trial({}, user_attrs={"slot": 0})
    search.study.ask()
    assert list(do_all(search)["state"]) == ["complete", "complete"]


def test_a_trial_that_another_process_took_over_is_left_to_it(begin, trained, monkeypatch):
    search = begin(trials=2)
    (train, first) = training.run, []

    def asleep(*arguments, on_epoch, **options):
        if not first:
            first.append(True)
            search.study.tell(0, state=TrialState.FAIL)  # what others do after half a minute without a sign
        return train(*arguments, on_epoch=on_epoch, **options)

    monkeypatch.setattr("stages.train.run.run", asleep)
    rows = do_all(search)
    assert list(rows["trial"]) == [0, 1]
    assert list(rows["state"]) == ["complete", "complete"]


def test_the_median_pruner_ends_a_poor_trial_early_with_real_training(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PRUNE_AFTER", 1)
    search = begin(
        pruner="median", trials=2, epochs=4, space={"train.lr": {"low": 0.0001, "high": 0.01}}, fixed={}
    )
    often = search.machine.model_copy(update={"checkpoint_steps": 1})
    search = dataclasses.replace(search, machine=often)
    # The first learns, the second hardly does.
    search.study.enqueue_trial({"train.lr": 0.01}, user_attrs={"slot": 0})
    search.study.enqueue_trial({"train.lr": 0.0001}, user_attrs={"slot": 1})
    rows = do_all(search)
    assert list(rows["state"]) == ["complete", "pruned"]
    assert list(rows["epochs"]) == [4, 2]
    assert rows["ciede2000"][1] > rows["ciede2000"][0]
    assert not list(tmp_path.rglob("checkpoint.pt")), "what is pruned never goes on"


def test_hyperband_is_told_how_long_a_trial_can_be(begin, trained):
    rows = do_all(begin(pruner="hyperband", trials=12, epochs=9))
    assert {"complete", "pruned"} == set(rows["state"])
    assert isinstance(begin(pruner="hyperband").study.pruner, optuna.pruners.HyperbandPruner)
