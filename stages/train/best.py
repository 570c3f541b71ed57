"""Which epoch was best so far, by the val figure that params.yaml names, and its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from stages.networks.base import Colorizer
from stages.train.params import Params

HIGHER_IS_BETTER = {"psnr"}


def best_epoch(log: Sequence[dict[str, float]], watch: str) -> int:
    """Return the epoch (from 1) whose ``<watch>/val`` in ``log`` is best, the first of equals; 0 if none."""
    sign = -1 if watch in HIGHER_IS_BETTER else 1
    scores = [sign * record[f"{watch}/val"] for record in log]
    finite = [score if math.isfinite(score) else math.inf for score in scores]
    return finite.index(min(finite)) + 1 if finite else 0


class Best:
    """Keeps the weights of the best epoch where ``train.keep`` is best, and says when to stop early."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.weights: dict[str, Tensor] | None = None

    def consider(self, network: Colorizer, log: Sequence[dict[str, float]]) -> None:
        """Keep the weights of ``network`` if the last epoch of ``log`` is the best one."""
        if self._params.keep == "best" and best_epoch(log, self._params.watch) == len(log):
            self.weights = {name: value.cpu().clone() for name, value in network.state_dict().items()}

    def patience_is_over(self, log: Sequence[dict[str, float]]) -> bool:
        """Say whether the last ``train.patience`` epochs were no better than one before."""
        if not self._params.patience:
            return False
        return len(log) - best_epoch(log, self._params.watch) >= self._params.patience
