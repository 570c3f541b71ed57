"""What ends a training before its time is said in one sentence, with the way out."""

import json

import pytest
import torch

from stages.train import checkpoints, losses, objective
from ungray.errors import UngrayError


def refusal(trained, **changes):
    with pytest.raises(UngrayError) as caught:
        trained(**changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("factor", "said"), [(float("nan"), "the loss is nan"), (1e5, "the loss is ")])
def test_a_loss_that_is_no_number_or_explodes_is_told_with_step_rate_and_photos(
    trained, prepared, monkeypatch, factor, said
):
    seen = []

    def worse(prediction, targets):
        seen.append(len(prediction))
        return (prediction - targets).abs().mean() * (factor if len(seen) == 2 else 1)

    monkeypatch.setitem(losses.LOSSES, "l1", worse)
    message = refusal(trained, warmup_steps=2, lr=0.003)
    assert said in message
    assert "at step 2, learning rate 0.002, on the photos train/" in message
    assert "lower train.lr" in message
    named = message.partition("on the photos ")[2].partition(";")[0].split(", ")
    assert len(set(named)) == 8
    assert all((prepared / file).is_file() for file in named)


def test_weights_that_break_in_the_last_step_are_no_model(trained, monkeypatch):
    step = objective.Regression.step

    def spoil(self, *arguments, **rest):
        found = step(self, *arguments, **rest)
        with torch.no_grad():
            self.network.head.bias += float("nan")
        return found

    monkeypatch.setattr(objective.Regression, "step", spoil)
    assert "val photos is nan after epoch 1" in refusal(trained, steps=1)


def allocate_too_much(*arguments, **rest):
    torch.empty(1 << 60, dtype=torch.uint8)


def run_out_of_gpu_memory(*arguments, **rest):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("fail", [allocate_too_much, run_out_of_gpu_memory])
def test_out_of_memory_names_the_batch_size(trained, monkeypatch, fail):
    monkeypatch.setattr(objective.Regression, "step", fail)
    message = refusal(trained, batch_size=7)
    assert "out of memory with train.batch_size = 7" in message
    assert "machine.accumulation" in message


def test_a_fault_of_ours_keeps_its_own_words(trained, monkeypatch):
    def fail(*arguments, **rest):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(objective.Regression, "step", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trained()


def test_more_devices_than_there_are_is_refused_with_the_section(trained):
    if torch.cuda.is_available():
        pytest.skip("this machine has GPUs")
    assert "machine" in refusal(trained, machine={"device": "cuda", "precision": "fp32", "devices": 2})


def test_a_checkpoint_of_a_stopped_training_with_other_settings_is_named(trained, here, monkeypatch, capsys):
    class StopError(Exception):
        pass

    def stop(epoch, record):
        raise StopError

    with pytest.raises(StopError):
        trained(machine={"checkpoint_steps": 1}, on_epoch=stop)
    trained(lr=0.002, seed=2)
    said = capsys.readouterr().err
    assert "other train.lr, train.seed and is not used; training starts over" in said
    (work,) = (here / ".cache/train").iterdir()
    assert json.loads((work / "settings.json").read_text())["train.lr"] == 0.001
    (checkpoint,) = here.glob(".cache/train/*/checkpoint.pt")
    checkpoints.write(checkpoint, checkpoints.read_checkpoint(checkpoint) | {"fingerprint": "of another"})
    trained()
    assert "belongs to a training with other params" in capsys.readouterr().err
