import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage import data
from torch import nn

from stages.evaluate import perceptual
from stages.evaluate.run import run
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.upsampling import gray_photo


class Means(nn.Module):
    """Stands in for Inception: the mean of each channel of both halves of a photo."""

    num_features = 6

    def forward(self, batch):
        halves = batch.double().chunk(2, dim=-1)
        return torch.cat([half.mean(dim=(2, 3)) for half in halves], dim=1)


def _pairs(made, truths):
    for pair in zip(made, truths, strict=True):
        yield tuple(torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None] for rgb in pair)


def _crops(scene):
    return [scene[top : top + 60, top : top + 60] for top in range(0, 180, 12)]


def test_fid_is_the_frechet_distance_of_both_crowds_written_out_again():
    truths, made = _crops(data.astronaut()), _crops(data.chelsea())
    ours = perceptual.fid(Means(), _pairs(made, truths))
    crowds = [
        np.array([[half.mean((0, 1)) for half in (rgb[:, :30], rgb[:, 30:])] for rgb in crowd]).reshape(15, 6)
        for crowd in (made, truths)
    ]
    (m1, c1), (m2, c2) = ((crowd.mean(0), np.cov(crowd, rowvar=False)) for crowd in crowds)
    written_out = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert ours == pytest.approx(written_out, rel=1e-3)
    assert perceptual.fid(Means(), _pairs(truths, truths)) == pytest.approx(0, abs=0.1)


def test_nothing_is_loaded_unless_asked_for(tiny):
    assert perceptual.load(tiny["evaluate"], photos=100) == {}


def test_fid_of_one_photo_is_refused_in_a_sentence(tiny):
    params = tiny["evaluate"].model_copy(update={"fid": True})
    with pytest.raises(UngrayError, match=r"evaluate\.fid needs at least two test photos"):
        perceptual.load(params, photos=1)


@pytest.mark.parametrize("name", ["fid", "lpips"])
def test_without_package_or_network_there_is_one_sentence_before_anything_is_judged(
    tiny, name, monkeypatch, tmp_path, index, model, pixels, prepared
):
    # No weights in an empty home, and a proxy that does not answer: no network, whatever this machine has.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    params = tiny["evaluate"].model_copy(update={name: True})
    with pytest.raises(UngrayError) as caught:
        run(params, model, None, index=index, pixels=pixels, prepared=prepared)
    said = str(caught.value)
    assert said.startswith(f"evaluate.{name}: its package or weights are not available (")
    assert "pip install -e '.[perceptual]'" in said
    assert "\n" not in said


def test_a_figure_that_is_had_stands_with_every_rivals_others(
    tiny, monkeypatch, index, model, pixels, prepared, means
):
    monkeypatch.setattr(perceptual, "_inception", lambda: lambda pairs: perceptual.fid(Means(), pairs))
    params = tiny["evaluate"].model_copy(update={"fid": True})
    found = run(params, model, None, index=index, pixels=pixels, prepared=prepared)
    for method in ("model", "gray", "mean_ab"):
        assert means(found, method)["fid"] > 0
    test = index[(index["split"] == "test")]
    truths = [photos.read_rgb(prepared / file) for file in test["file"]]
    gray = perceptual.fid(Means(), _pairs([gray_photo(t) for t in truths], truths))
    assert means(found, "gray")["fid"] == pytest.approx(gray, rel=1e-4)
