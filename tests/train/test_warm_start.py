"""Starting from a base model: what is taken over, what starts new, and how it is told."""

import json

import pytest
import torch
from safetensors import safe_open

from stages.train.params import UNetParams
from stages.train.run import run
from stages.train.warm_start import FILE, warm_start
from ungray import networks
from ungray.errors import UngrayError
from ungray.networks import Model, load_model, save_model
from ungray.provenance import kept_nothing


@pytest.fixture
def base(tiny, here):
    """The folder of a base model, whose weights are not those that a network is built with."""
    network = networks.build(tiny["train"].network())
    save_model(here / "base" / FILE, Model(network, {}))
    return here / "base"


def test_training_from_the_base_model_is_ahead_of_training_from_nothing(tiny, trained, here):
    result, content = trained(epochs=12, lr=0.005)
    (here / "base").mkdir()
    (here / "base" / FILE).write_bytes(content)
    options = {"epochs": 1, "lr": 0.0001, "warmup_steps": 0, "base": str(here / "base")}
    started = trained("s", start_from="base", **options)[0]
    fresh = trained("f", **options)[0]
    assert started.state.log[0]["loss/val"] < fresh.state.log[0]["loss/val"]
    assert started.state.before["loss/val"] == pytest.approx(result.state.log[-1]["loss/val"], abs=0.001)
    assert not fresh.state.before
    assert abs(started.state.log[0]["loss/val"] - result.state.log[-1]["loss/val"]) < 0.01


def test_all_weights_and_statistics_are_taken_over(tiny, base):
    network = networks.build(tiny["train"].network())
    start = warm_start(network, base)
    assert start["new"] == []
    known = load_model(base / FILE).network.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in network.state_dict().items())


def test_batch_norm_keeps_the_statistics_it_took_over_unless_it_is_not_to(trained, base):
    known = load_model(base / FILE).network.state_dict()
    result = trained(start_from="base", base=str(base), epochs=1)[0]
    found = result.model.network.state_dict()
    statistics = {name for name in found if name.endswith(("running_mean", "running_var"))}
    assert statistics
    assert all(torch.equal(found[name], known[name]) for name in statistics)
    assert not torch.equal(found["head.weight"], known["head.weight"])
    free = trained("free", start_from="base", base=str(base), epochs=1, freeze_batch_norm=False)[0]
    found = free.model.network.state_dict()
    assert not any(torch.equal(found[name], known[name]) for name in statistics)
    fresh = trained(epochs=1)[0].model.network.state_dict()
    assert not torch.equal(fresh["down.0.1.running_mean"], torch.zeros_like(fresh["down.0.1.running_mean"]))


def test_where_no_epoch_is_better_than_the_base_model_its_weights_are_kept(tiny, trained, here, capsys):
    gray = networks.build(tiny["train"].network())
    torch.nn.init.zeros_(gray.head.weight)
    torch.nn.init.zeros_(gray.head.bias)
    base = here / "base"
    save_model(base / FILE, Model(gray, {}))
    known = load_model(base / FILE).network.state_dict()
    options = {"start_from": "base", "base": str(base), "steps": 1, "lr": 1.0, "warmup_steps": 0}
    result = trained(keep="best", watch="loss", **options)[0]
    assert result.model.provenance["epoch"] == 0
    found = result.model.network.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in found.items())
    told = capsys.readouterr().out
    assert "train: before the first epoch: val " in told
    assert "train: nothing of this training was kept: no epoch was better than the start\n" in told
    best = min(record["loss/val"] for record in result.state.log)
    assert kept_nothing(result.model.provenance) == (
        "this is the base model, unchanged: training kept nothing, since the loss of the val photos was best "
        f"before the first epoch, {result.state.before['loss/val']:.4g}; the best of 1 epochs had {best:.4g}"
    )


def test_a_training_that_moves_no_weight_says_so_and_one_that_moves_some_does_not(trained, base, capsys):
    options = {"start_from": "base", "base": str(base), "epochs": 1, "keep": "last"}
    still = trained("still", lr=1e-9, **options)[0].model
    known = load_model(base / FILE).network.state_dict()
    save_model(base.parent / "still.safetensors", still)
    found = load_model(base.parent / "still.safetensors").network.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in found.items())
    said = kept_nothing(still.provenance)
    assert said.startswith("this is the base model, unchanged: training kept nothing, since ")
    assert said.endswith("steps at train.lr 1e-09 moved no weight")
    assert "nothing of this training was kept: the steps moved no weight\n" in capsys.readouterr().out
    moved = trained("moved", lr=0.01, **options)[0].model
    assert kept_nothing(moved.provenance) == ""
    assert "was kept" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ([], "this is the base model, unchanged: training kept nothing"),
        (["head"], "this is the base model with untrained layers (head): training kept nothing"),
        ("all", "this is an untrained network: training kept nothing"),
    ],
)
def test_what_kept_nothing_is_called_what_it_is(new, words):
    unchanged = {"epoch": 0, "epochs": 3, "watch": "psnr", "before": 24.5, "best": 24.1}
    said = kept_nothing({"start": {"new": new}, "unchanged": unchanged})
    assert said.startswith(words)
    assert (
        "PSNR of the val photos was best before the first epoch, 24.5; the best of 3 epochs had 24.1" in said
    )


def test_what_does_not_fit_starts_new_and_is_named_in_the_output_the_model_and_its_card(
    tiny, prepared, here, base, capsys
):
    params = tiny["train"].model_copy(
        update={
            "unet": UNetParams(channels=(4, 6, 8, 12)),
            "start_from": "base",
            "base": str(base),
            "epochs": 1,
        }
    )
    result = run(params, tiny["machine"], prepared=prepared, report=here / "r")
    new = result.model.provenance["start"]["new"]
    assert {"down.3.0", "down.3.3", "up.0"} <= set(new)
    assert not {"down.0.0", "head", "merge.2.0"} & set(new)
    told = f"starts from the base model (unet); {len(new)} of its "
    assert told in capsys.readouterr().out
    save_model(here / "m.safetensors", result.model)
    with safe_open(here / "m.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["provenance"])["start"]["new"] == new


def test_a_model_of_another_architecture_gives_nothing_and_says_so(tiny, prepared, here, base, capsys):
    params = tiny["train"].model_copy(
        update={"architecture": "cnn", "start_from": "base", "base": str(base), "epochs": 1}
    )
    result = run(params, tiny["machine"], prepared=prepared, report=here / "r")
    assert "no layer of the base model (unet) fits, so it starts from nothing" in capsys.readouterr().out
    assert result.model.provenance["start"]["new"] == "all"
    alone = run(
        params.model_copy(update={"start_from": "nothing"}),
        tiny["machine"],
        prepared=prepared,
        report=here / "r",
    )
    assert "start" not in alone.model.provenance
    ours, theirs = (r.model.network.state_dict() for r in (result, alone))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_missing_base_model_is_named_with_the_way_out(tiny, here):
    network = networks.build(tiny["train"].network())
    with pytest.raises(
        UngrayError, match=r"nowhere/colorizer.safetensors does not exist; .*start_from: nothing"
    ):
        warm_start(network, here / "nowhere")


def test_another_base_model_is_another_training(tiny, trained, here, base):
    options = {"start_from": "base", "base": str(base), "epochs": 1}
    first = trained(**options)[1]
    assert trained(**options)[1] == first
    torch.manual_seed(7)
    save_model(base / FILE, Model(networks.build(tiny["train"].network()), {}))
    assert trained(**options)[1] != first
