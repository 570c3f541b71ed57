"""How long training goes on, what the learning rate does in that time, and which weights are kept."""

import shutil

import pytest
import torch

from stages.storage.tables import read_table
from stages.train import schedule
from stages.train.data import load_pixels
from stages.train.state import Ema, State
from ungray import networks
from ungray.imaging import metrics
from ungray.imaging.upsampling import gray_photo

# 24 train photos and copies in batches of 8: three steps an epoch.


@pytest.fixture
def params(tiny):
    return lambda **changes: tiny["train"].model_copy(update=changes)


# The learning rate


def test_the_learning_rate_warms_up_and_falls_to_zero(params):
    long = params(warmup_steps=4, schedule="cosine")
    factors = [schedule.lr_factor(long, step, 100) for step in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert max(factors) == 1.0
    assert factors[-1] < 1e-3
    assert schedule.lr_factor(params(schedule="constant"), 99, 100) == 1.0


@pytest.mark.parametrize("warmup", [0, 3, 20, 50])
def test_until_the_steps_are_planned_the_learning_rate_does_not_depend_on_their_number(params, warmup):
    chosen = params(warmup_steps=warmup, schedule="cosine")
    settled = schedule.settled_steps(chosen)
    short, long = (
        [schedule.lr_factor(chosen, s, steps) for s in range(settled)] for steps in (settled + 1, 10**6)
    )
    assert short == long


def test_a_training_of_few_steps_still_ends_at_a_low_learning_rate(params):
    factors = [schedule.lr_factor(params(warmup_steps=2, schedule="cosine"), step, 12) for step in range(12)]
    assert factors[2] == 1.0
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert factors[-1] < 0.05


# Which limit comes first


def test_the_first_of_epochs_and_steps_ends_it(trained, params):
    assert schedule.most_steps(params(epochs=4, steps=0), 3) == 12
    assert schedule.most_steps(params(epochs=4, steps=30), 3) == 12
    result, _ = trained(epochs=4, steps=5)
    assert result.model.provenance["steps"] == 5
    epochs = len(result.state.log)
    assert epochs == result.model.provenance["epoch"] == 2, "the second epoch ends after two steps"


def test_the_plan_leaves_time_for_validation_and_is_never_less_than_a_step(params):
    def planned(**changes):
        return schedule.plan_steps(
            params(**({"minutes": 1.0, "epochs": 10**6} | changes)),
            batches_an_epoch=10, done=20, seconds=20.0, seconds_a_step=0.1, seconds_a_validation=1.0,
        )  # fmt: skip

    assert planned() == 20 + 200  # 40 seconds at 0.1 + 1.0 / 10 a step
    assert planned(steps=70) == 70
    assert planned(epochs=9) == 90
    assert planned(minutes=0.1) == 21


def test_the_stable_schedule_is_constant_and_then_falls_in_a_straight_line(params):
    stable = params(warmup_steps=4, schedule="stable", decay=0.25)
    factors = [schedule.lr_factor(stable, step, 100) for step in range(100)]
    assert set(factors[4:76]) == {1.0}
    assert factors[75:] == pytest.approx([1 - number / 25 for number in range(25)])


def test_with_the_stable_schedule_steps_are_planned_when_only_the_decay_is_left(params):
    stable = params(warmup_steps=4, schedule="stable", decay=0.25, minutes=1.0, epochs=10**6)
    assert not schedule.planning_is_due(stable, step=500, seconds=44.9)
    assert schedule.planning_is_due(stable, step=500, seconds=45.0)
    assert not schedule.planning_is_due(stable, step=10, seconds=50.0), "the pace is not settled"
    planned = schedule.plan_steps(
        stable, batches_an_epoch=10, done=601, seconds=45, seconds_a_step=9, seconds_a_validation=9
    )
    assert planned == 802
    before = [schedule.lr_factor(stable, step, planned) for step in range(4, 601)]
    assert set(before) == {1.0}, "as it was before the number of steps was known"
    assert schedule.lr_factor(stable, 700, planned) < 1


def test_a_training_ended_by_minutes_is_repeated_exactly_by_its_number_of_steps(trained, here):
    result, _ = trained(epochs=100_000, minutes=0.1, grid_every=1000, schedule="cosine")
    steps = result.model.provenance["steps"]
    assert 20 < steps < 300_000
    assert result.state.log[-1]["learning_rate"] < 0.1 * result.state.log[0]["learning_rate"] or steps < 40
    again, _ = trained(epochs=100_000, steps=steps, grid_every=1000, schedule="cosine")
    assert again.state.log == result.state.log
    weights = result.model.network.state_dict()
    for name, value in again.model.network.state_dict().items():
        assert torch.equal(value, weights[name])


# A longer training goes on from a shorter one


@pytest.mark.parametrize(
    ("shorter", "steps"),
    [({"steps": 30, "decay": 0.25}, 23), ({"minutes": 0.001, "decay": 0.25}, 21)],
    ids=["steps", "minutes"],
)
def test_a_longer_training_goes_on_where_the_rate_of_a_shorter_one_began_to_fall(
    trained, here, capsys, shorter, steps
):
    def train(report, **changes):
        usual = {"epochs": 1000, "schedule": "stable", "ema": 0.9, "keep": "best"}
        result, model = trained(report, **(usual | changes))
        written = {p.relative_to(here / report): p.read_bytes() for p in (here / report).rglob("*.*")}
        return result.state.log, model, written, capsys.readouterr().out

    longer = {"steps": 50, "minutes": 1000.0, "decay": 0.2}
    train("shorter", **shorter)
    *continued, said = train("continued", **longer)
    assert f"the first {steps} steps are those of a shorter training" in said
    assert "resuming from" in said
    assert "the first" not in train("other", **longer, lr=0.002)[-1]
    if "steps" in shorter:
        assert "the first" not in train("again", **shorter)[-1], "the same training again is a whole one"
    shutil.rmtree(here / ".cache/legs")
    *whole, said = train("whole", **longer)
    assert "the first" not in said
    assert continued == whole


# Stopping early, the best epoch, the average


def test_the_best_epoch_is_the_lowest_or_for_psnr_the_highest_and_never_one_that_is_no_number():
    log = [{"psnr/val": p, "loss/val": v} for p, v in ((20.0, 0.3), (22.0, float("nan")), (21.0, 0.2))]
    state = State(log=log)
    assert state.best_epoch("psnr") == 2
    assert state.best_epoch("loss") == 3
    assert state.measured(2) == log[1]
    assert State().best_epoch("loss") == 0


def test_the_model_that_training_started_from_is_best_until_an_epoch_is_better():
    log = [{"psnr/val": 20.0, "loss/val": 0.3}, {"psnr/val": 22.0, "loss/val": 0.4}]
    state = State(before={"psnr/val": 21.0, "loss/val": 0.3}, log=log)
    assert state.best_epoch("loss") == 0, "the first of equals"
    assert state.measured(0) == state.before
    assert state.best_epoch("psnr") == 2


def test_patience_ends_training_and_the_best_epoch_is_what_is_kept(trained, prepared):
    # At such a rate things get worse before long.
    result, _ = trained(
        epochs=60, lr=0.05, schedule="constant", patience=3, keep="best", watch="loss", grid_every=100
    )
    epoch = result.model.provenance["epoch"]
    losses = [record["loss/val"] for record in result.state.log]
    assert losses.index(min(losses)) + 1 == epoch
    assert len(result.state.log) == epoch + 3 < 60
    shorter, _ = trained(epochs=60, lr=0.05, schedule="constant", steps=3 * epoch, grid_every=100)
    kept = result.model.network.state_dict()
    for name, value in shorter.model.network.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_the_average_begins_near_the_weights_and_then_goes_slowly(tiny):
    network = networks.build(tiny["train"].network())
    ema = Ema(network, 0.999)
    weight, average = network.head.weight, ema.network.head.weight
    start = average.clone()
    with torch.no_grad():
        weight += 1
    ema.update(network, step=1)
    torch.testing.assert_close(average, start + 1 - 2 / 11)
    before = average.clone()
    ema.update(network, step=10**6)
    torch.testing.assert_close(average, before + 0.001 * (weight - before))
    assert not average.requires_grad


def test_with_ema_the_average_is_what_is_validated_and_saved(trained, prepared, here):
    plain, _ = trained(epochs=4)
    averaged, _ = trained(epochs=4, ema=0.9)
    assert averaged.state.log[0]["loss/train"] == plain.state.log[0]["loss/train"], "it learns the same"
    assert averaged.state.log[0]["loss/val"] != plain.state.log[0]["loss/val"]
    assert not torch.equal(averaged.model.network.head.weight, plain.model.network.head.weight)


def test_each_optimizer_clipping_and_a_fixed_order_change_the_model(trained):
    changes = [
        {},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd"},
        {"optimizer": "rmsprop"},
        {"optimizer": "sgd", "clip_norm": 0.1},
        {"shuffle": False},
    ]
    models = [trained(epochs=1, grid_every=5, **change)[1] for change in changes]
    assert len(set(models)) == len(models)


# What is measured


def test_val_figures_are_those_of_the_judging_metrics_and_gray_stands_beside(trained, prepared):
    result, _ = trained(epochs=1)
    index = read_table(prepared / "index.csv", made_by="prepare").query("split == 'val'")
    photos = load_pixels(index, prepared, size=32, workers=1)
    gray = [metrics.judge(gray_photo(photo), photo) for photo in photos]
    for name in (metric.name for metric in metrics.of_training()):
        mean = sum(figures[name] for figures in gray) / len(gray)
        assert result.state.log[0][f"{name}/gray"] == pytest.approx(mean)
        assert result.state.log[0][f"{name}/val"] != result.state.log[0][f"{name}/gray"]


def test_on_epoch_gets_every_record_and_may_end_the_training(trained):
    class PrunedError(Exception):
        pass

    seen = []

    def on_epoch(epoch, record):
        seen.append((epoch, record["ciede2000/val"]))
        if epoch == 2:
            raise PrunedError

    with pytest.raises(PrunedError):
        trained(epochs=5, on_epoch=on_epoch)
    assert [epoch for epoch, _ in seen] == [1, 2]
