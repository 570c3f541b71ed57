"""What every architecture is to training, judging and use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ungray.networks.lab import rgb_to_lab

AB_SCALE = 110.0
"""ab is divided by this, so that a network's figures are about -1..1."""


class Colorizer(nn.Module, ABC):
    """A network that colors gray photos.

    Training calls :meth:`pairs` and the network itself; everybody else calls :meth:`predict_ab`.
    ``working_size`` is the short side in pixels of the photos it is trained on and used at; ``MULTIPLE`` is
    what both sides of its input must be multiples of.
    """

    MULTIPLE: ClassVar[int]
    ARCHITECTURE: ClassVar[str]

    takes_hints = False
    """Whether it takes hints: colors that are known at some places of the photo."""

    def __init__(self, *, working_size: int, **arguments: Any) -> None:
        super().__init__()
        self.working_size = working_size
        self.configuration = {"architecture": self.ARCHITECTURE, "working_size": working_size, **arguments}
        """All that is needed to build the network again."""
        self.fixed_statistics: list[str] = []
        """Names of batch-norm layers that go on with the statistics they have, in training too."""

    def train(self, mode: bool = True) -> Self:
        """Put all in training mode (or not), but for the layers of :attr:`fixed_statistics`."""
        super().train(mode)
        for name in self.fixed_statistics:
            self.get_submodule(name).eval()
        return self

    @abstractmethod
    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and target of training for true photos, RGB (batch, 3, height, width) in 0..1."""

    @abstractmethod
    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the gray photo is in the terms of ``targets``, so that the loss has a line to beat."""

    def with_hints(self, inputs: Tensor, hints: Tensor | None) -> Tensor:
        """Return ``inputs`` of the network with ``hints`` beside them; see :meth:`predict_ab`.

        Raises:
            ValueError: there are hints, and this network takes none.
        """
        if hints is not None:
            raise ValueError(f"this {self.ARCHITECTURE} takes no hints")
        return inputs

    @abstractmethod
    def predict_ab(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return ab (batch, 2, height, width), Lab units, for lightness (batch, 1, height, width), 0..100.

        ``hints``, for a network that takes them, are float (batch, 3, height, width): a and b in Lab units,
        and in 0..1 how far they are to be trusted; where that is 0, nothing is known. None: nothing is.
        """

    def ab_of(self, values: Tensor) -> Tensor:
        """Return ab, Lab units, (batch, 2, height, width), of outputs or targets of that height and width.

        Two channels are ab / 110, three are RGB in 0..1; an architecture with other ones says so itself.
        Differentiable: losses look at chroma through it, and a discriminator at the colors.
        """
        return values * AB_SCALE if values.shape[1] == 2 else rgb_to_lab(values)[:, 1:]

    @abstractmethod
    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return the network's own answer, RGB in 0..1, to true photos (batch, 3, height, width) made gray.

        Not what a user gets: earlier work reports errors of this.
        """
