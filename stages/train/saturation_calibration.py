"""Finds how vivid a trained network's colors can be made before they do more harm than good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stages.train.data import Pixels
from ungray import networks
from ungray.imaging import metrics, photo_files
from ungray.imaging.color import Rgb, rgb_to_lab
from ungray.imaging.prediction import Vivid, predict
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Network

WANTED = 0.66
"""Vivid photos should be this share as colorful as the true photos."""

LEAST, MOST = 0.5, 3.0
"""The range of saturations that is searched."""

EXPONENT = 0.5
"""With it, confident colors gain more than uncertain ones; see :class:`ungray.imaging.prediction.Vivid`."""

PHOTOS = 150
"""Largest number of val photos used."""

HALVINGS = 8
"""How often the interval from :data:`LEAST` to :data:`MOST` is halved."""


def calibrate_saturation(network: Network, val: Pixels) -> dict[str, float]:
    """Return how to make the colors of ``network`` vivid, and what that costs on ``val``.

    Training averages plausible colors, which makes them pale. Stronger colors are livelier, but a wrong hue
    becomes more wrong. The result is the largest saturation from 0.5 to 3, with :data:`EXPONENT`, at which
    the photos are at most :data:`WANTED` times as colorful as the truth and their mean CIEDE2000 is at most
    that of the gray photos. If the photos are then no more colorful than the plain predictions, nothing is
    changed: saturation 1, exponent 0.

    Args:
        network: a trained network; it is put in eval mode.
        val: uint8 RGB (photos, size, size, 3) at its working size, not used in training.

    Returns:
        ``saturation`` and ``exponent`` of :class:`ungray.imaging.prediction.Vivid`, and what they lead to, as
        means over at most 150 photos: ``colorfulness_ratio`` (to the truth's), ``ciede2000``, and
        ``ciede2000_gray`` of the gray photos.
    """
    truths = val[np.linspace(0, len(val) - 1, min(len(val), PHOTOS)).round().astype(int)]
    grays = [gray_photo(truth) for truth in truths]
    predictions = predict(
        [photo_files.from_array(gray) for gray in grays],
        networks.predictor(network),
        working_size=network.working_size,
        multiple=network.MULTIPLE,
    )
    wanted = _colorfulness(list(truths))
    gray = _ciede2000(grays, truths)

    def rendered(vivid: Vivid) -> list[Rgb]:
        return [replace(prediction, vivid=vivid).render(vivid=True) for prediction in predictions]

    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        photos = rendered(Vivid(middle := (low + high) / 2, EXPONENT))
        if _colorfulness(photos) <= WANTED * wanted and _ciede2000(photos, truths) <= gray:
            low = middle
        else:
            high = middle
    vivid, plain = Vivid(round(low, 4), EXPONENT), rendered(Vivid())
    photos = rendered(vivid)
    if low == LEAST or _colorfulness(photos) <= _colorfulness(plain):
        vivid, photos = Vivid(), plain
    return {
        "saturation": vivid.saturation,
        "exponent": vivid.exponent,
        "colorfulness_ratio": round(_colorfulness(photos) / max(wanted, 1e-9), 4),
        "ciede2000": round(_ciede2000(photos, truths), 4),
        "ciede2000_gray": round(gray, 4),
    }


def _colorfulness(photos: list[Rgb]) -> float:
    return float(np.mean([metrics.colorfulness(photo) for photo in photos]))


def _ciede2000(photos: list[Rgb], truths: Pixels) -> float:
    pairs = zip(photos, truths, strict=True)
    return float(
        np.mean([metrics.ciede2000(rgb_to_lab(photo), rgb_to_lab(truth)).mean() for photo, truth in pairs])
    )
