"""The weights of the best epoch so far, by the val figure that params.yaml names."""

from __future__ import annotations

from torch import Tensor

from stages.networks.base import Colorizer
from stages.train.params import Params
from stages.train.place import Place


class Best:
    """Keeps the weights of the best epoch where ``train.keep`` is best, and says when to stop early."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.weights: dict[str, Tensor] | None = None

    def consider(self, network: Colorizer, place: Place) -> None:
        """Keep the weights of ``network`` if the epoch that ended last is the best one."""
        if self._params.keep == "best" and place.best_epoch(self._params.watch) == place.epoch:
            self.weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}

    def patience_is_over(self, place: Place) -> bool:
        """Say whether the last ``train.patience`` epochs were no better than one before."""
        if not self._params.patience:
            return False
        return place.epoch - place.best_epoch(self._params.watch) >= self._params.patience
