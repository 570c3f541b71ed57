"""What training makes small: how far a network's outputs are from its targets, in its own units.

L1 and MSE have one best answer where color is open, the median or mean of the plausible ones, and that is
brown. ``chroma_l1`` and ``classes`` are remedies; the third, a discriminator, is
:mod:`stages.train.objective`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.train.data import Pixels, to_rgb
from stages.train.params import Params
from ungray.networks.base import AB_SCALE, Colorizer
from ungray.networks.classes import AbClasses

if TYPE_CHECKING:
    from stages.train.data import Streamed

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and targets, float32, the mean over a batch out; the gray photo goes in as an output."""

PRIOR_PHOTOS = 500
"""So many train photos say how often each color is met."""


def build_loss(params: Params, network: Colorizer) -> Loss:
    """Return the loss that ``params`` name, for outputs and targets of ``network``."""
    if params.loss in LOSSES:
        return LOSSES[params.loss]
    return COLOR_LOSSES[params.loss](params, network)


def measure_prior(network: Colorizer, train: Sequence[Pixels | Streamed]) -> None:
    """Tell a network that classifies color how often it meets each class; to others nothing is done.

    Counted over at most 500 photos, evenly spaced in ``train``'s first array (of shards: the
    first ones), as its targets show them.
    """
    classes = _classes(network)
    if classes is None:
        return
    photos = train[0]
    if isinstance(photos, np.ndarray):
        photos = photos[np.linspace(0, len(photos) - 1, min(PRIOR_PHOTOS, len(photos))).astype(int)]
    else:
        photos = photos.first(PRIOR_PHOTOS)
    targets = [network.pairs(to_rgb(torch.from_numpy(photo[None])))[1] for photo in photos]
    classes.set_prior(network.ab_of(torch.cat(targets)))


def _chroma_l1(params: Params, network: Colorizer) -> Loss:
    """L1 in which colored pixels count more, plus the difference of chroma.

    A gray sky hides a red coat in the mean, so a pixel's weight rises with its true chroma. Where the hue is
    open, a guess pays for its hue anyway, but ``match`` makes it pay for paleness too.
    """
    options = params.chroma_l1

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        true_chroma = _chroma(network.ab_of(targets))
        weight = 1 + true_chroma / options.doubled_at
        value = (weight * (outputs - targets).abs()).mean()
        if options.match:
            paleness = (_chroma(network.ab_of(outputs)) - true_chroma).abs() / AB_SCALE
            value = value + options.match * (weight * paleness).mean()
        return value

    return loss


def _class_loss(params: Params, network: Colorizer) -> Loss:
    """Cross-entropy with the soft-encoded truth, rare colors weighted up (Zhang, Isola, Efros 2016).

    Mixed with L1 of the distribution's mean, which keeps the classes that lie near each other together.
    """
    options, classes = params.classes, _classes(network)
    assert classes is not None

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        ab = network.ab_of(targets)
        numbers, weights = classes.encode(ab)
        rarity = classes.rarity(options.rebalancing)[numbers[:, :1]]  # of the nearest class, as in the paper
        likely = functional.log_softmax(outputs, dim=1).gather(1, numbers)
        value = -(rarity * weights * likely).sum(1).mean()
        if options.regression:
            mean = classes.annealed_mean(outputs, temperature=1)
            value = value + options.regression * (mean - ab).abs().mean() / AB_SCALE
        return value

    return loss


LOSSES: dict[str, Loss] = {"l1": functional.l1_loss, "mse": functional.mse_loss}
"""By name in params.yaml, those that look at no more than outputs and targets."""

COLOR_LOSSES: dict[str, Callable[[Params, Colorizer], Loss]] = {
    "chroma_l1": _chroma_l1,
    "classes": _class_loss,
}
"""By name in params.yaml, those that look at color through the network: each makes the loss for one."""


def _classes(network: Colorizer) -> AbClasses | None:
    found = getattr(network, "classes", None)
    return found if isinstance(found, AbClasses) else None


def _chroma(ab: Tensor) -> Tensor:
    # Not just the root: its slope at gray is infinite.
    return (ab.square().sum(1, keepdim=True) + 1e-2).sqrt()
