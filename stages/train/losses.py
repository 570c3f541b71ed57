"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": functional.l1_loss,
    "mse": functional.mse_loss,
}
"""By name in params.yaml; each takes prediction and target in the network's own units."""
