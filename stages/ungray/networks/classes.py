"""Color as one of the classes of ab, and back: what a network that classifies color learns and hands over.

The method is that of Zhang, Isola and Efros, "Colorful Image Colorization" (2016): ab is cut into squares,
those that sRGB can show are the classes, a pixel's truth is spread over the nearest of them, rare colors
count more, and the answer is the annealed mean of the distribution. A mean of plausible colors is brown;
a distribution can say "red or green".
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from ungray.networks.lab import rgb_to_lab
from ungray.networks.lab_colorizer import LabColorizer

NEAREST = 5
"""Over so many classes the truth of a pixel is spread (the paper's number)."""

REACH = 110
"""ab of sRGB lies within this, in Lab units."""


@cache
def in_gamut(grid: int) -> Tensor:
    """Return the ab classes: those multiples of ``grid`` that are nearest to some color of sRGB.

    float32 (classes, 2), Lab units, sorted; 260 classes for a grid of 10. Looked for among 52^3 colors.
    """
    levels = torch.linspace(0, 1, 52, dtype=torch.float64)
    colors = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 1, -1)
    ab = rgb_to_lab(colors)[0, 1:, 0].T
    return grid * torch.unique((ab / grid).round(), dim=0).float()


class AbClasses(nn.Module):
    """The classes of ab on a grid of ``grid`` Lab units, and the colors that were met in training.

    ``temperature`` is that of :meth:`annealed_mean` and may be changed on a trained network: 1 is the mean of
    the distribution (calm), near 0 its mode (vivid, patchy).
    """

    prior: Tensor
    """How often each class is met, float32 (classes,), sums to 1; uniform until :meth:`set_prior`."""
    centers: Tensor
    nearest: Tensor

    def __init__(self, *, grid: int, temperature: float) -> None:
        super().__init__()
        self.grid, self.temperature = grid, temperature
        centers = in_gamut(grid)
        self.register_buffer("prior", torch.full((len(centers),), 1 / len(centers)))
        # Follow from the grid, so no model file holds them.
        self.register_buffer("centers", centers, persistent=False)
        self.register_buffer("nearest", _nearest(centers), persistent=False)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.centers)

    def encode(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Spread ab (batch, 2, height, width), Lab units, over its nearest classes, nearest first.

        Weights fall with distance as a Gaussian whose standard deviation is half the grid (5 at the paper's
        grid of 10) and sum to 1. Which are nearest is looked up for ab rounded to whole Lab units.

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
        """Count how often each class is met in ab (photos, 2, height, width), Lab units."""
        numbers, weights = self.encode(ab)
        # On the CPU and in float64, where the sum is the same every time.
        counts = torch.bincount(
            numbers.flatten().cpu(), weights=weights.flatten().double().cpu(), minlength=len(self)
        )
        self.prior.copy_(counts / counts.sum())

    def unseeing(self, like: Tensor) -> Tensor:
        """Return logits of the prior at every pixel of ``like`` (batch, any, height, width).

        The guess of one who never looks at the photo: what a classifier has to beat.
        """
        # A class that was never met must not make the guess infinitely wrong.
        logits = torch.log(self.prior.clamp(min=1e-6))
        return logits[None, :, None, None].expand(len(like), -1, *like.shape[2:])

    def rarity(self, rebalancing: float) -> Tensor:
        """Return how much each class counts, float32 (classes,), its mean over the prior 1.

        The inverse of the prior mixed with a uniform one. ``rebalancing`` is the share of the prior: 0 counts
        all alike, 0.5 is the paper's, 1 makes every color count the same in sum.
        """
        weights = 1 / (rebalancing * self.prior + (1 - rebalancing) / len(self)).clamp(min=1e-6)
        return weights / (self.prior * weights).sum()


class Classifier(LabColorizer):
    """A network from lightness to ab, or, where it has ``classes``, to how likely each class of ab is."""

    classes: AbClasses | None

    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return no color, for classes the guess that looks at no photo; see :class:`Colorizer`."""
        return self.classes.unseeing(targets) if self.classes else super().gray_target(inputs, targets)

    def ab_of(self, values: Tensor) -> Tensor:
        """Return ab of outputs or targets; of classes the annealed mean; see :class:`Colorizer`."""
        if self.classes and values.shape[1] == len(self.classes):
            return self.classes.annealed_mean(values)
        return super().ab_of(values)


def _nearest(centers: Tensor) -> Tensor:
    """Return the nearest classes of every whole ab: int64 (a, b, 5), a and b from -REACH to REACH."""
    whole = torch.arange(-REACH, REACH + 1.0)
    return torch.stack(
        [
            torch.sort(torch.cdist(row, centers), stable=True).indices[:, :NEAREST]
            for row in torch.stack(torch.meshgrid(whole, whole, indexing="ij"), dim=-1)
        ]
    )
