"""Colorization as classification: encodes ab as classes, and decodes a distribution over classes to ab.

The method is that of Zhang, Isola and Efros, "Colorful Image Colorization" (2016). The ab plane is divided
into squares; those inside the sRGB gamut are the classes. A pixel's true color is spread over the nearest
classes, rare colors get higher weights, and the prediction is the annealed mean of the distribution. The
plain mean of plausible colors is brown; a distribution can express "red or green".
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ungray.networks.lab import rgb_to_lab
from ungray.networks.lab_colorizer import LabColorizer

NEAREST = 5
"""The number of classes over which a pixel's true color is spread (as in the paper)."""

REACH = 110
"""An upper bound of the absolute values of a and b in sRGB, in Lab units."""


@cache
def in_gamut(grid: int) -> Tensor:
    """Return the ab classes: those multiples of ``grid`` that are nearest to some color of sRGB.

    float32 (classes, 2), Lab units, sorted; 260 classes for a grid of 10. They are found by sampling 52^3
    colors.
    """
    levels = torch.linspace(0, 1, 52, dtype=torch.float64)
    colors = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 1, -1)
    ab = rgb_to_lab(colors)[0, 1:, 0].T
    return grid * torch.unique((ab / grid).round(), dim=0).float()


class AbClasses(nn.Module):
    """The classes of ab on a grid of ``grid`` Lab units, and their frequencies in the training data.

    ``temperature`` is that of :meth:`annealed_mean` and may be changed on a trained network: 1 is the mean of
    the distribution (muted), near 0 its mode (vivid, patchy).
    """

    prior: Tensor
    """The frequency of each class, float32 (classes,), sums to 1; uniform until :meth:`set_prior`."""
    centers: Tensor
    nearest: Tensor

    def __init__(self, *, grid: int, temperature: float) -> None:
        super().__init__()
        self.grid, self.temperature = grid, temperature
        centers = in_gamut(grid)
        self.register_buffer("prior", torch.full((len(centers),), 1 / len(centers)))
        # Computed from the grid, so model files need not contain them.
        self.register_buffer("centers", centers, persistent=False)
        self.register_buffer("nearest", _nearest(centers), persistent=False)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.centers)

    def encode(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Spread ab (batch, 2, height, width), Lab units, over its nearest classes, nearest first.

        The weights are a Gaussian of the distance, with half the grid as standard deviation (5 at the paper's
        grid of 10), and sum to 1. The nearest classes are looked up for ab rounded to whole Lab units.

        Returns:
            Class numbers, int64, and weights, float32, both (batch, 5, height, width).
        """
        a, b = (ab.round().long() + REACH).clamp(0, 2 * REACH).unbind(1)
        numbers = self.nearest[a, b].permute(0, 3, 1, 2)
        distance = (self.centers[numbers] - ab.permute(0, 2, 3, 1)[:, None]).square().sum(-1)
        return numbers, functional.softmax(-distance / (2 * (self.grid / 2) ** 2), dim=1)

    def annealed_mean(self, logits: Tensor, *, temperature: float | None = None) -> Tensor:
        """Return ab (batch, 2, height, width), Lab units, of logits (batch, classes, height, width)."""
        sharpened = functional.softmax(logits / (temperature or self.temperature), dim=1)
        return functional.conv2d(sharpened, self.centers.T[:, :, None, None].to(sharpened.dtype))

    def set_prior(self, ab: Tensor) -> None:
        """Set the prior to the frequencies of the classes in ab (photos, 2, height, width), Lab units."""
        numbers, weights = self.encode(ab)
        # On the CPU and in float64, where the sum is deterministic.
        counts = torch.bincount(
            numbers.flatten().cpu(), weights=weights.flatten().double().cpu(), minlength=len(self)
        )
        self.prior.copy_(counts / counts.sum())

    def unseeing(self, like: Tensor) -> Tensor:
        """Return the logits of the prior at every pixel of ``like`` (batch, any, height, width).

        This prediction ignores the photo: it is the baseline that a classifier has to beat.
        """
        # A class that never occurred must not make the loss of the baseline infinite.
        logits = torch.log(self.prior.clamp(min=1e-6))
        return logits[None, :, None, None].expand(len(like), -1, *like.shape[2:])

    def rarity(self, rebalancing: float) -> Tensor:
        """Return the weight of each class in the loss, float32 (classes,); its mean under the prior is 1.

        It is the inverse of a mixture of the prior and a uniform distribution. ``rebalancing`` is the share
        of the prior: 0 gives all classes the same weight, 0.5 is the paper's value, and with 1 every color
        contributes the same in total.
        """
        weights = 1 / (rebalancing * self.prior + (1 - rebalancing) / len(self)).clamp(min=1e-6)
        return weights / (self.prior * weights).sum()


class Classifier(LabColorizer):
    """A network from lightness to ab or, if it has ``classes``, to a distribution over classes of ab."""

    classes: AbClasses | None

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return zero ab or, with classes, the logits of the prior; see :class:`Network`."""
        return self.classes.unseeing(targets) if self.classes else super().gray_target(inputs, targets)

    def ab_of(self, values: Tensor) -> Tensor:
        """Return ab of outputs or targets; for classes, the annealed mean; see :class:`Network`."""
        if self.classes and values.shape[1] == len(self.classes):
            return self.classes.annealed_mean(values)
        return super().ab_of(values)


def _nearest(centers: Tensor) -> Tensor:
    """Return the nearest classes of every integer ab: int64 (a, b, 5), a and b from -REACH to REACH."""
    whole = torch.arange(-REACH, REACH + 1.0)
    return torch.stack(
        [
            torch.sort(torch.cdist(row, centers), stable=True).indices[:, :NEAREST]
            for row in torch.stack(torch.meshgrid(whole, whole, indexing="ij"), dim=-1)
        ]
    )
