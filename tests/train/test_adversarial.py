"""The GAN: both halves learn, each for itself, the same every time, with any loss and any network."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from stages.train.devices import start_fabric
from stages.train.losses import measure_prior
from stages.train.objective import CURVES, Adversarial, Regression, build_objective
from stages.train.params import AdversarialParams
from stages.train.run import run
from ungray import networks
from ungray.networks import save_model

ON = AdversarialParams(weight=0.1, lr=0.002, noise=0.1, noise_every=2)
BATCH = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), dtype=np.uint8))


@pytest.fixture
def make(tiny):
    """Return an objective for tiny params, with some keys changed."""

    def made(**changes):
        params = tiny["train"].model_copy(update={"adversarial": ON} | changes)
        fabric, *_ = start_fabric(tiny["machine"])
        torch.manual_seed(0)
        network = networks.build(params.network())
        measure_prior(network, [BATCH.numpy()])
        objective = build_objective(params, network, fabric)
        objective.train()
        return objective

    return made


def weights(network):
    return copy.deepcopy(network.state_dict())


def differ(first, second):
    return any(
        not torch.equal(first[name], second[name])
        for name in first
        if "running" not in name and "num_batches" not in name
    )


def test_a_weight_of_zero_is_a_plain_network(make):
    assert isinstance(make(adversarial=ON.model_copy(update={"weight": 0.0})), Regression)
    assert isinstance(make(), Adversarial)


@pytest.mark.parametrize("loss", ["l1", "mse", "chroma_l1", "classes"])
@pytest.mark.parametrize("architecture", ["unet", "cnn"])
def test_a_step_moves_both_networks_and_returns_what_the_curves_show(make, loss, architecture):
    if loss == "classes" and architecture == "cnn":
        return
    objective = make(loss=loss, architecture=architecture)
    colorizer, discriminator = weights(objective.network), weights(objective.discriminator)
    found = objective.step(BATCH, None, lr_factor=1.0)
    assert set(found) == {"loss", *CURVES}
    assert all(value.isfinite() and not value.requires_grad for value in found.values())
    assert 0 <= found["discriminator_accuracy"] <= 1
    # Untrained it can only toss a coin.
    assert found["loss_discriminator"] == pytest.approx(math.log(2), abs=0.2)
    assert differ(weights(objective.network), colorizer)
    assert differ(weights(objective.discriminator), discriminator)
    assert all(weight.requires_grad for weight in objective.discriminator.parameters())


def test_the_discriminator_learns_to_tell_gray_photos_from_true_ones(make, monkeypatch):
    objective = make(adversarial=ON.model_copy(update={"noise": 0.0}), lr=1e-9)
    objective.network.head.weight.data.zero_()
    objective.network.head.bias.data.zero_()
    found = [objective.step(BATCH, None, lr_factor=1.0) for _ in range(30)]
    assert found[-1]["loss_discriminator"] < 0.3 < found[0]["loss_discriminator"]
    assert found[-1]["discriminator_accuracy"] == 1
    assert found[-1]["loss_generator"] > found[0]["loss_generator"]


def test_the_colorizer_is_pushed_toward_what_the_discriminator_takes_for_true(make):
    heavy = ON.model_copy(update={"weight": 100.0, "lr": 1e-9, "noise": 0.0})
    objective = make(adversarial=heavy, lr=0.003)
    found = [objective.step(BATCH, None, lr_factor=1.0)["loss_generator"].item() for _ in range(20)]
    assert found[-1] < found[0] - 0.02


def test_a_batch_in_two_parts_teaches_both_networks_the_same_as_a_whole_one(make):
    plain = ON.model_copy(update={"noise": 0.0, "lr": 0.1})
    whole, parts = (make(adversarial=plain, optimizer="sgd", lr=0.1) for _ in range(2))
    for objective in (whole, parts):  # with batch-norm's statistics of the batch they would differ
        objective.network.eval()
        objective.discriminator.eval()
    before = weights(parts.network), weights(parts.discriminator)
    whole.step(BATCH, None, lr_factor=1.0)
    parts.step(BATCH[:2], None, lr_factor=1.0, share=2 / 6, last=False)
    assert not differ(weights(parts.network), before[0])
    assert not differ(weights(parts.discriminator), before[1])
    parts.step(BATCH[2:], None, lr_factor=1.0, share=4 / 6, last=True)
    assert parts.steps == 1
    for name, part in (("network", parts.network), ("discriminator", parts.discriminator)):
        expected = weights(getattr(whole, name))
        assert differ(weights(part), before[name == "discriminator"])
        for key, value in part.named_parameters():
            torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-4)


def test_noise_comes_every_so_many_steps_and_follows_from_seed_and_step(make):
    objective, again = make(), make()
    photos = torch.zeros(2, 3, 16, 16)
    seen = []
    for step in range(4):
        objective.steps = again.steps = step
        noise = objective._noise(photos)
        torch.manual_seed(step)  # other draws elsewhere change nothing
        assert torch.equal(noise, again._noise(photos))
        seen.append(noise)
    assert [bool(noise.any()) for noise in seen] == [True, False, True, False]
    assert seen[0].std() == pytest.approx(0.1, rel=0.1)
    assert not torch.equal(seen[0], seen[2])
    assert not make(seed=2)._noise(photos).equal(seen[0])
    assert not make(adversarial=ON.model_copy(update={"noise": 0.0}))._noise(photos).any()


def test_what_was_saved_goes_on_as_if_never_stopped(make):
    whole, first, second = make(), make(), make(seed=1)
    for objective in (whole, first):
        for _ in range(3):
            objective.step(BATCH, None, lr_factor=1.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for objective in (whole, second):
        for _ in range(3):
            objective.step(BATCH, None, lr_factor=0.5)
    assert not differ(weights(whole.network), weights(second.network))
    assert not differ(weights(whole.discriminator), weights(second.discriminator))


def test_small_outputs_are_brought_up_to_what_the_discriminator_can_look_at(make):
    objective = make(loss="classes")  # 8x8 of a photo of 32x32
    seen = objective._seen(torch.full((2, 1, 32, 32), 75.0), torch.full((2, 2, 8, 8), 55.0))
    assert seen.shape == (2, 3, 32, 32)
    assert (seen == 0.5).all()


def test_a_whole_training_draws_three_more_curves_and_repeats_itself_to_the_byte(
    tiny, prepared, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    contents = []
    for name in ("a", "b"):
        params = tiny["train"].model_copy(update={"adversarial": ON})
        result = run(params, tiny["machine"], prepared=prepared, report=tmp_path / name)
        for file in result.work.iterdir():
            file.unlink()
        save_model(tmp_path / "m.safetensors", result.model)
        contents.append((tmp_path / "m.safetensors").read_bytes())
    assert contents[0] == contents[1]
    for curve in CURVES:
        rows = (tmp_path / f"a/plots/metrics/{curve}/train.tsv").read_text().splitlines()
        assert len(rows) == 1 + tiny["train"].epochs
    assert not any("discriminator" in name for name in result.model.network.state_dict())


def test_a_plain_training_leaves_these_curves_without_an_epoch_so_that_dvc_draws_none(
    tiny, prepared, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    params = tiny["train"].model_copy(update={"epochs": 1})
    run(params, tiny["machine"], prepared=prepared, report=tmp_path / "r")
    for curve in CURVES:
        assert (tmp_path / f"r/plots/metrics/{curve}/train.tsv").read_text() == "step\ttrain\n"
    plots = YAML(typ="safe").load(Path(__file__).parents[2] / "dvc.yaml")["plots"]
    drawn = [
        file for plot in plots if isinstance(plot, dict) for entry in plot.values() for file in entry["y"]
    ]
    missing = [
        f for f in drawn if "train/plots" in f and not (tmp_path / f.replace("reports/train", "r")).exists()
    ]
    assert missing == []
