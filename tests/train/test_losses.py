"""What the losses reward: each against the answer that L1 likes best, and on a real, short training."""

import shutil

import pytest
import torch

from stages.train.losses import build_loss, measure_prior
from stages.train.params import ChromaL1Params, ClassesParams, Params
from stages.train.run import run
from ungray import networks
from ungray.errors import UngrayError

LOSSES = ["l1", "mse", "chroma_l1", "classes"]


@pytest.fixture
def make(tiny):
    """Return params, an untrained network and its loss, with some keys changed."""

    def made(**changes):
        params = tiny["train"].model_copy(update=changes)
        torch.manual_seed(0)
        network = networks.build(params.network())
        return params, network, build_loss(params, network)

    return made


def _ab(*colors, size=8):
    """Targets of the U-Net, (photos, 2, size, size): one color each, in Lab units / 110."""
    return torch.stack([torch.tensor(c).float().view(2, 1, 1).expand(2, size, size) for c in colors]) / 110


@pytest.mark.parametrize("loss", LOSSES)
def test_the_truth_scores_best_and_gray_has_a_finite_score(make, loss):
    _, network, loss_of = make(loss=loss)
    targets = _ab((40, 30), (-20, 10), (0, 0))
    right = targets
    if network.classes:
        numbers, weights = network.classes.encode(network.ab_of(targets))
        right = torch.log(torch.full((3, len(network.classes), 8, 8), 1e-9).scatter(1, numbers, weights))
    gray = loss_of(network.gray_target(targets, targets), targets)
    assert gray.isfinite()
    assert loss_of(right, targets) < 0.5 * gray


def test_l1_likes_gray_best_where_hue_is_open_and_chroma_l1_does_not(make):
    # Half of the pixels are red, half green, and nothing tells which.
    targets, gray, colored = _ab((40, 0), (-40, 0)), _ab((0, 0), (0, 0)), _ab((0, 25), (0, 25))
    _, _, l1 = make(loss="l1")
    assert l1(gray, targets) < l1(colored, targets)
    _, _, chroma_l1 = make(loss="chroma_l1", chroma_l1=ChromaL1Params(doubled_at=20.0, match=2.0))
    assert chroma_l1(gray, targets) > chroma_l1(colored, targets)


def test_chroma_l1_counts_a_mistake_on_a_colored_pixel_more(make):
    _, _, loss_of = make(loss="chroma_l1", chroma_l1=ChromaL1Params(doubled_at=20.0, match=0.0))
    mistake = _ab((11, 0)) * 1.0
    on_gray = loss_of(_ab((0, 0)) + mistake, _ab((0, 0)))
    on_red = loss_of(_ab((20, 0)) + mistake, _ab((20, 0)))
    assert on_red == pytest.approx(2 * on_gray.item(), rel=0.01)


def test_chroma_l1_has_finite_gradients_at_gray(make):
    _, _, loss_of = make(loss="chroma_l1")
    outputs = torch.zeros(1, 2, 8, 8, requires_grad=True)
    loss_of(outputs, _ab((0, 0))).backward()
    loss_of(outputs, _ab((30, 0))).backward()
    assert outputs.grad.isfinite().all()


def test_chroma_l1_looks_at_the_colors_of_a_network_that_answers_in_rgb(make):
    _, _, loss_of = make(loss="chroma_l1", architecture="cnn")
    gray, red = (
        torch.full((1, 3, 8, 8), 0.5),
        torch.tensor([0.8, 0.2, 0.2]).view(1, 3, 1, 1).expand(1, 3, 8, 8),
    )
    assert loss_of(gray + 0.05, gray) < loss_of(red + 0.05, red)


def test_the_gray_line_of_classes_is_the_guess_that_looks_at_no_photo(make):
    _, network, loss_of = make(
        loss="classes", classes=ClassesParams(grid=10, rebalancing=0.0, regression=0.0, temperature=0.38)
    )
    targets = _ab((40, 30), (0, 0), (0, 0), (0, 0))
    network.classes.set_prior(network.ab_of(targets))
    unseeing = loss_of(network.gray_target(targets, targets), targets)
    prior = network.classes.prior[network.classes.prior > 0]
    entropy = -(prior * prior.log()).sum()
    assert unseeing == pytest.approx(entropy.item(), abs=1e-3)
    # Nothing that is the same for every pixel does better.
    even = torch.zeros(4, len(network.classes), 8, 8)
    assert unseeing < loss_of(even, targets)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_with_it_learns_and_repeats_itself_to_the_byte(tiny, prepared, tmp_path, monkeypatch, loss):
    monkeypatch.chdir(tmp_path)
    contents, logs = [], []
    for name in ("a", "b"):
        params = tiny["train"].model_copy(update={"loss": loss, "epochs": 12, "lr": 0.003, "grid_every": 12})
        result = run(params, tiny["machine"], prepared=prepared, report=tmp_path / name)
        shutil.rmtree(result.work)
        networks.save_model(tmp_path / "m.safetensors", result.model)
        contents.append((tmp_path / "m.safetensors").read_bytes())
        rows = (tmp_path / name / "plots/metrics/loss/train.tsv").read_text().splitlines()[1:]
        logs.append([float(row.split("\t")[1]) for row in rows])
    assert contents[0] == contents[1]
    assert logs[0][-1] < 0.9 * logs[0][0]


def test_the_prior_is_that_of_the_train_photos_and_lands_in_the_model(make, tiny):
    _, network, _ = make(loss="classes")
    red = torch.tensor([200, 30, 30], dtype=torch.uint8).expand(700, 32, 32, 3).numpy()
    measure_prior(network, [red])
    likeliest = network.classes.centers[network.classes.prior.argmax()]
    ab = network.ab_of(network.pairs(torch.from_numpy(red[:1].copy()).permute(0, 3, 1, 2) / 255)[1])[
        0, :, 0, 0
    ]
    assert (likeliest - ab).abs().max() <= 5.1
    assert torch.equal(network.state_dict()["classes.prior"], network.classes.prior)


def test_classes_with_a_network_that_cannot_classify_are_refused_with_both_keys(tiny):
    values = tiny["train"].model_dump() | {"loss": "classes", "architecture": "cnn"}
    with pytest.raises(
        UngrayError, match=r"train\.loss = 'classes' needs train\.architecture = unet or lite_unet.*not cnn"
    ):
        Params.model_validate(values)
