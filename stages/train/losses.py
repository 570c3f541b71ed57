"""Losses: how far a network's outputs are from its targets, in the network's own units.

Where several colors are plausible, L1 and MSE are lowest at their median or mean, which is brown.
``chroma_l1`` and ``classes`` are remedies; a third one, a discriminator, is in :mod:`stages.train.objective`.
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
from ungray.networks.base import AB_SCALE, Network
from ungray.networks.classes import AbClasses

if TYPE_CHECKING:
    from stages.train.data import Streamed

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes float32 outputs and targets, returns the mean over the batch; gray photos can be outputs too."""

PRIOR_PHOTOS = 500
"""Largest number of train photos used to measure how frequent each color class is."""


def build_loss(params: Params, network: Network) -> Loss:
    """Return the loss that ``params`` name, for outputs and targets of ``network``."""
    if params.loss in LOSSES:
        return LOSSES[params.loss]
    return COLOR_LOSSES[params.loss](params, network)


def measure_prior(network: Network, train: Sequence[Pixels | Streamed]) -> None:
    """Set the prior of a network that predicts color classes: how frequent each class is.

    It is measured on the network's targets for at most 500 photos, evenly spaced in the first array of
    ``train`` (or the first photos of its shards). Other networks are not changed.
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


def _chroma_l1(params: Params, network: Network) -> Loss:
    """Return L1 with a higher weight for colored pixels, plus the difference in chroma.

    In the plain mean a large gray sky outweighs a red coat, so a pixel's weight rises with its true chroma.
    Where the hue is uncertain, L1 favors pale colors; ``match`` is the weight of a penalty for paleness.
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


def _class_loss(params: Params, network: Network) -> Loss:
    """Return cross-entropy with the soft-encoded truth and a higher weight for rare colors.

    The method is that of Zhang, Isola and Efros (2016). The L1 of the distribution's mean is added, so that
    the loss takes the distance between classes into account.
    """
    options, classes = params.classes, _classes(network)
    assert classes is not None

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        ab = network.ab_of(targets)
        numbers, weights = classes.encode(ab)
        rarity = classes.rarity(options.rebalancing)[numbers[:, :1]]  # the nearest class's, as in the paper
        likely = functional.log_softmax(outputs, dim=1).gather(1, numbers)
        value = -(rarity * weights * likely).sum(1).mean()
        if options.regression:
            mean = classes.annealed_mean(outputs, temperature=1)
            value = value + options.regression * (mean - ab).abs().mean() / AB_SCALE
        return value

    return loss


LOSSES: dict[str, Loss] = {"l1": functional.l1_loss, "mse": functional.mse_loss}
"""Losses that need only outputs and targets, by name in params.yaml."""

COLOR_LOSSES: dict[str, Callable[[Params, Network], Loss]] = {
    "chroma_l1": _chroma_l1,
    "classes": _class_loss,
}
"""Makers of losses that need the network to get colors, by name in params.yaml."""


def _classes(network: Network) -> AbClasses | None:
    found = getattr(network, "classes", None)
    return found if isinstance(found, AbClasses) else None


def _chroma(ab: Tensor) -> Tensor:
    # The small constant avoids the infinite slope of the root at gray.
    return (ab.square().sum(1, keepdim=True) + 1e-2).sqrt()
