"""The saturation that a trained model recommends for vivid colors."""

import numpy as np
import pytest
import torch
from skimage import data

from stages.train.saturation_calibration import MOST, WANTED, calibrate_saturation
from ungray.imaging import metrics
from ungray.imaging.color import gray_photo, lab_to_rgb, rgb_to_lab
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


def painted(ab, saturation):
    """The photos with that color, and how colorful and how wrong they are in the mean."""
    photos = [
        lab_to_rgb(
            np.dstack([lab[..., 0], np.broadcast_to(np.float32(ab) * np.float32(saturation), (96, 96, 2))])
        )
        for lab in map(rgb_to_lab, TRUTHS)
    ]
    ratio = sum(map(metrics.colorfulness, photos)) / sum(map(metrics.colorfulness, TRUTHS))
    return ratio, difference(photos)


def difference(photos):
    return np.mean(
        [metrics.ciede2000(rgb_to_lab(p), rgb_to_lab(t)).mean() for p, t in zip(photos, TRUTHS, strict=True)]
    )


@pytest.fixture
def gray():
    return difference([gray_photo(rgb_to_lab(truth)[..., 0]) for truth in TRUTHS])


def test_good_pale_colors_are_made_as_strong_as_is_wanted_and_no_stronger(gray):
    ab = np.mean([rgb_to_lab(truth)[..., 1:].mean((0, 1)) for truth in TRUTHS], axis=0) * 0.5
    found = calibrate_saturation(Known(ab.tolist()), TRUTHS)
    assert 1 < found["saturation"] < MOST
    ratio, wrong = painted(ab, found["saturation"])
    assert found["colorfulness_ratio"] == pytest.approx(ratio, abs=0.01)
    assert found["ciede2000"] == pytest.approx(wrong, abs=0.02)
    assert found["ciede2000_gray"] == pytest.approx(gray, abs=0.001)
    assert ratio <= WANTED
    assert wrong <= gray
    more = painted(ab, found["saturation"] + 0.1)
    assert more[0] > WANTED or more[1] > gray


def test_wrong_colors_are_not_made_stronger(gray):
    found = calibrate_saturation(Known([-20.0, -20.0]), TRUTHS)
    assert found["saturation"] == 1
    assert found["ciede2000"] > gray
