"""The saturation that a trained model recommends for vivid colors."""

import numpy as np
import pytest
import torch
from skimage import data

from stages.train.saturation_calibration import LEAST, MOST, WANTED, calibrate_saturation
from ungray import engines
from ungray.colorizer import Colorizer
from ungray.imaging import metrics
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.prediction import MOST_GAIN, Vivid
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model
from ungray.networks.base import AB_SCALE
from ungray.networks.lab_colorizer import LabColorizer

TRUTHS = np.stack([photo[:96, 100:196] for photo in (data.astronaut(), data.coffee(), data.chelsea())])


class Known(LabColorizer):
    """Answers with ``share`` of a color, whatever the photo."""

    ARCHITECTURE, MULTIPLE = "known", 1

    def __init__(self, ab):
        super().__init__(working_size=96)
        self.ab = torch.nn.Parameter(torch.tensor(ab) / AB_SCALE)

    def forward(self, lightness):
        return self.ab[None, :, None, None].expand(len(lightness), 2, *lightness.shape[2:])


def rendered(ab, vivid):
    """How colorful and how wrong the photos are in the mean as a user gets them in that color, vivid."""
    colorizer = Colorizer(engines.of_model(Model(Known(ab), {"vivid": vivid})))
    photos = [colorizer.colorize(gray_photo(truth), vivid=True) for truth in TRUTHS]
    ratio = sum(map(metrics.colorfulness, photos)) / sum(map(metrics.colorfulness, TRUTHS))
    return ratio, difference(photos)


def difference(photos):
    return np.mean(
        [metrics.ciede2000(rgb_to_lab(p), rgb_to_lab(t)).mean() for p, t in zip(photos, TRUTHS, strict=True)]
    )


@pytest.fixture
def gray():
    return difference([gray_photo(truth) for truth in TRUTHS])


def test_good_pale_colors_are_made_as_strong_as_is_wanted_and_no_stronger(gray):
    ab = np.mean([rgb_to_lab(truth)[..., 1:].mean((0, 1)) for truth in TRUTHS], axis=0) * 0.5
    ab = ab.tolist()
    found = calibrate_saturation(Known(ab), TRUTHS)
    assert LEAST < found["saturation"] < MOST
    ratio, wrong = rendered(ab, found)
    assert found["colorfulness_ratio"] == pytest.approx(ratio, abs=1e-3)
    assert found["ciede2000"] == pytest.approx(wrong, abs=1e-2)
    assert found["ciede2000_gray"] == pytest.approx(gray, abs=0.001)
    assert ratio <= WANTED
    assert wrong <= gray
    more = rendered(ab, found | {"saturation": found["saturation"] + 0.1})
    assert more[0] > WANTED or more[1] > gray


def test_wrong_colors_are_not_made_stronger(gray):
    found = calibrate_saturation(Known([-20.0, -20.0]), TRUTHS)
    assert (found["saturation"], found["exponent"]) == (1, 0)
    assert found["ciede2000"] > gray


def test_what_is_sure_gains_more_than_what_is_doubtful():
    chroma = np.full((9, 9), 2.5, np.float32)
    chroma[:, 5:] = 40
    gain = Vivid(1.2, 0.5).gain(chroma)
    assert gain[4, 0] == pytest.approx(0.6)
    assert gain[4, 8] == pytest.approx(2.4)
    assert Vivid(2, 0.5).gain(chroma).max() == MOST_GAIN
    assert (Vivid(2).gain(chroma) == 2).all()
    assert [vivid.changes_colors for vivid in (Vivid(), Vivid(1, 0.5), Vivid(1.1))] == [False, True, True]
