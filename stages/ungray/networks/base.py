"""The interface of every architecture, for training, evaluation and use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ungray.networks.lab import rgb_to_lab

AB_SCALE = 110.0
"""ab is divided by this, so that a network's values are about -1..1."""


class Network(nn.Module, ABC):
    """A network that colors gray photos.

    Training calls :meth:`pairs` and the network itself; all other code calls :meth:`predict_ab`.
    ``working_size`` is the short side in pixels at which it is trained and used. Height and width of its
    input must be multiples of ``MULTIPLE``.
    """

    MULTIPLE: ClassVar[int]
    ARCHITECTURE: ClassVar[str]

    takes_hints = False
    """Whether it accepts hints: known colors at some pixels of the photo."""

    def __init__(self, *, working_size: int, **arguments: Any) -> None:
        super().__init__()
        self.working_size = working_size
        self.configuration = {"architecture": self.ARCHITECTURE, "working_size": working_size, **arguments}
        """Everything that is needed to rebuild the network."""
        self.fixed_statistics: list[str] = []
        """Names of batch-norm layers that keep their statistics during training."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers but those of :attr:`fixed_statistics`, which stay in eval mode."""
        super().train(mode)
        for name in self.fixed_statistics:
            self.get_submodule(name).eval()
        return self

    @abstractmethod
    def pairs(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the training input and target for color photos, RGB (batch, 3, height, width) in 0..1."""

    @abstractmethod
    def gray_target(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gray photo in the form of ``targets``: the baseline that the loss is compared with."""

    def with_hints(self, inputs: Tensor, hints: Tensor | None) -> Tensor:
        """Return ``inputs`` of the network, concatenated with ``hints``; see :meth:`predict_ab`.

        Raises:
            ValueError: hints were given to a network that accepts none.
        """
        if hints is not None:
            raise ValueError(f"this {self.ARCHITECTURE} takes no hints")
        return inputs

    @abstractmethod
    def predict_ab(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return ab (batch, 2, height, width), Lab units, for lightness (batch, 1, height, width), 0..100.

        ``hints``, for a network that accepts them, are float (batch, 3, height, width): a and b in Lab units,
        and a weight in 0..1, which is 0 at pixels without a hint. None means no hints at all.
        """

    @property
    def feature_channels(self) -> int:
        """The number of channels of the features of :meth:`predict_with_features`; 0 if it has none."""
        return 0

    def predict_with_features(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return ab as :meth:`predict_ab` does, and features of what the photo shows at each place.

        The features are float (batch, channels, height / 16, width / 16): a map from the middle of the
        encoder. Places that look alike have features of nearly one direction.

        Raises:
            ValueError: this architecture has none (:attr:`feature_channels` is 0).
        """
        raise ValueError(f"this {self.ARCHITECTURE} has no features")

    def ab_of(self, values: Tensor) -> Tensor:
        """Return ab, Lab units, (batch, 2, height, width), of outputs or targets of that height and width.

        Two channels are ab / 110, three are RGB in 0..1; an architecture with other outputs overrides this.
        Differentiable: chroma losses and the discriminator use it.
        """
        return values * AB_SCALE if values.shape[1] == 2 else rgb_to_lab(values)[:, 1:]

    @abstractmethod
    def raw_rgb(self, rgb: Tensor) -> Tensor:
        """Return the raw output, RGB in 0..1, for color photos (batch, 3, height, width) turned gray.

        This is not what a user gets, but what earlier work reports errors of.
        """
