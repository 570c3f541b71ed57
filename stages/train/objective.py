"""What a training step minimizes: the network, its loss and its optimizer in one object.

The loop knows only :class:`Objective`. :class:`Regression` trains a network alone, :class:`Adversarial`
trains it against a discriminator (Goodfellow and others 2014); :func:`build_objective` chooses. A brown photo
has a low loss but does not look real: the discriminator learns to distinguish it from a true photo, and the
colorizer is penalized when its colors are recognized as false. As in pix2pix (Isola and others 2017), the
discriminator sees both lightness and color, and the loss ``train.loss`` on the true colors remains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from stages.train.data import to_rgb
from stages.train.losses import build_loss
from stages.train.params import Params
from ungray.networks.base import AB_SCALE, Network
from ungray.networks.discriminator import Discriminator
from ungray.networks.lab import rgb_to_lab

if TYPE_CHECKING:
    from lightning_fabric import Fabric

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
"""By name in params.yaml. Except for lr and weight_decay, PyTorch's defaults; sgd has momentum 0.9."""


class Objective(ABC):
    """What the loop trains, one step at a time.

    Random draws from torch's own generators are repeated exactly when training resumes, because the
    checkpoint contains their states. Other generators must depend only on seed and step, or be in
    :meth:`state_dict`.
    """

    network: Network
    """The network that is validated, shown and saved."""

    def __init__(self, params: Params, network: Network, fabric: Fabric) -> None:
        self.params, self.network, self.fabric = params, network, fabric
        self.loss = build_loss(params, network)
        """Takes the network's outputs and targets; returns the batch mean, in the network's own units."""
        self.module, self.optimizer = self.set_up(network, lr=params.lr)

    def step(
        self,
        batch: Tensor,
        degraded: Tensor | None,
        *,
        lr_factor: float,
        hints: Tensor | None = None,
        share: float = 1.0,
        last: bool = True,
    ) -> dict[str, Tensor]:
        """Run the forward and backward pass on one micro-batch, and after the last one, take the step.

        Args:
            batch: true photos, uint8 RGB (batch, height, width, 3), on the CPU.
            degraded: degraded photos of the same shape, whose gray the network sees instead; None if it sees
                the gray of ``batch``.
            lr_factor: 0..1, multiplies each optimizer's own base learning rate in this step.
            hints: known colors, (batch, 3, height, width); see :class:`stages.train.hints.Hints`.
            share: weight of this micro-batch's mean loss in the gradient, so that micro-batches (whose
                gradients are summed) and processes (whose gradients are averaged) together give the gradient
                of the mean over the global batch. Multiply the loss by it before the backward pass.
            last: whether this is the last micro-batch of the global batch in this process.

        Returns:
            Detached scalars by name, means over the micro-batch, not multiplied by ``share``; one of them is
            "loss". The loop logs the mean of each over an epoch as ``<name>/train``.
        """
        inputs, targets = self.pairs(batch, degraded, hints)
        found = self.backward(batch, inputs, targets, share=share, last=last)
        if last:
            self.advance(lr_factor)
        return found

    @abstractmethod
    def backward(
        self, batch: Tensor, inputs: Tensor, targets: Tensor, *, share: float, last: bool
    ) -> dict[str, Tensor]:
        """Accumulate the gradients of one micro-batch and return the same scalars as :meth:`step`.

        ``inputs`` and ``targets`` are the result of :meth:`pairs` for ``batch``.
        """

    def advance(self, lr_factor: float) -> None:
        """Let every optimizer take a step on the accumulated gradients."""
        self.update(self.module, self.optimizer, lr=self.params.lr * lr_factor)

    def state_dict(self) -> dict[str, Any]:
        """Return weights and optimizers of all parts, in types that ``torch.load(weights_only)`` reads."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.optimizer.load_state_dict(state["optimizer"])

    def train(self) -> None:
        """Put all parts in training mode."""
        self.module.train()

    def pairs(
        self, batch: Tensor, degraded: Tensor | None, hints: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the network's input and target on its device, float (batch, channels, height, width)."""
        inputs, targets = self.network.pairs(to_rgb(self.fabric.to_device(batch)))
        if degraded is not None:
            inputs, _ = self.network.pairs(to_rgb(self.fabric.to_device(degraded)))
        hints = None if hints is None else self.fabric.to_device(hints)
        return self.network.with_hints(inputs, hints), targets

    def set_up(self, network: nn.Module, *, lr: float) -> tuple[Any, Any]:
        """Return ``network`` and its optimizer set up by Fabric: on the device, over all processes."""
        network.to(memory_format=torch.channels_last)
        return self.fabric.setup(network, make_optimizer(self.params, network, lr=lr))

    def update(self, module: Any, optimizer: Any, *, lr: float) -> None:
        """Clip the accumulated gradients, take a step with learning rate ``lr``, and clear them."""
        set_lr(optimizer, lr)
        if self.params.clip_norm:
            # The loop reports values that are not finite, with the photos that led to them.
            self.fabric.clip_gradients(
                module, optimizer, max_norm=self.params.clip_norm, error_if_nonfinite=False
            )
        optimizer.step()
        optimizer.zero_grad()


class Regression(Objective):
    """One network, one loss, one optimizer."""

    def backward(
        self, batch: Tensor, inputs: Tensor, targets: Tensor, *, share: float, last: bool
    ) -> dict[str, Tensor]:
        """See :meth:`Objective.backward`."""
        with self.fabric.no_backward_sync(self.module, enabled=not last):
            # The network runs in the chosen precision, the loss in fp32.
            loss = self.loss(self.module(inputs).float(), targets)
            self.fabric.backward(loss * share)
        return {"loss": loss.detach()}


def build_objective(params: Params, network: Network, fabric: Fabric) -> Objective:
    """Return the objective that ``params`` describe; ``network`` is the colorizer in it."""
    if params.adversarial.weight:
        return Adversarial(params, network, fabric)
    return Regression(params, network, fabric)


def make_optimizer(params: Params, network: nn.Module, *, lr: float) -> Optimizer:
    """Return the optimizer of ``params`` for ``network``.

    Weight decay is an L2 penalty on the loss in adam, sgd and rmsprop, and decoupled from it in adamw
    (Loshchilov and Hutter 2019).
    """
    options: dict[str, Any] = {"momentum": 0.9} if params.optimizer == "sgd" else {}
    return OPTIMIZERS[params.optimizer](  # type: ignore[call-arg]
        network.parameters(), lr=lr, weight_decay=params.weight_decay, **options
    )


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step of ``optimizer``."""
    for group in optimizer.param_groups:
        group["lr"] = lr


CURVES = ("loss_generator", "loss_discriminator", "discriminator_accuracy")
"""Names of the scalars that an adversarial step returns besides "loss"."""


class Adversarial(Objective):
    """A colorizer and a discriminator that learn from each other; each takes one step on every batch.

    The discriminator minimizes the binary cross-entropy of distinguishing true photos from colored ones. The
    colorizer minimizes its own loss plus ``train.adversarial.weight`` times the cross-entropy of its photos
    being classified as true. Both cross-entropies are 0.69 (ln 2) if the discriminator can only guess. Every
    ``train.adversarial.noise_every`` steps, noise is added to the discriminator's photos (Sonderby and others
    2017): a discriminator that is always right teaches nothing, and colors collapse.
    """

    def __init__(self, params: Params, network: Network, fabric: Fabric) -> None:
        super().__init__(params, network, fabric)
        self.discriminator = Discriminator()
        self.critic, self.critic_optimizer = self.set_up(self.discriminator, lr=params.adversarial.lr)
        self.steps = 0
        self.turn = 0  # number of the micro-batch within the step

    def backward(
        self, batch: Tensor, inputs: Tensor, targets: Tensor, *, share: float, last: bool
    ) -> dict[str, Tensor]:
        """See :meth:`Objective.backward`; "loss" is the loss on the true colors alone.

        The other scalars: loss_generator and loss_discriminator, the two cross-entropies, and
        discriminator_accuracy, the share of photos, true and colored, that it classified correctly.
        """
        lightness = rgb_to_lab(to_rgb(self.fabric.to_device(batch)))[:, :1]
        with self.fabric.no_backward_sync(self.module, enabled=not last):
            outputs = self.module(inputs).float()
            colored = self._seen(lightness, self.network.ab_of(outputs))
            true = self._seen(lightness, self.network.ab_of(targets))
            noise = self._noise(true)
            judged = self._learn_to_tell(torch.cat([true, colored.detach()]) + noise, share, last=last)
            loss = self.loss(outputs, targets)
            # True photos are included so that batch-norm sees the same mix as when the discriminator learned.
            # Fabric's wrapper is bypassed because the discriminator does not learn from this pass.
            self.discriminator.requires_grad_(False)
            with self.fabric.autocast():
                logits = self.discriminator(torch.cat([true, colored]) + noise).float()[len(true) :]
            self.discriminator.requires_grad_(True)
            loss_generator = _cross_entropy(logits, true=True)
            self.fabric.backward((loss + self.params.adversarial.weight * loss_generator) * share)
        self.turn += 1
        return {"loss": loss.detach(), "loss_generator": loss_generator.detach(), **judged}

    def advance(self, lr_factor: float) -> None:
        """See :meth:`Objective.advance`."""
        self.update(self.critic, self.critic_optimizer, lr=self.params.adversarial.lr * lr_factor)
        super().advance(lr_factor)
        self.steps, self.turn = self.steps + 1, 0

    def _learn_to_tell(self, photos: Tensor, share: float, *, last: bool) -> dict[str, Tensor]:
        """Accumulate the discriminator's gradients on ``photos``: true ones first, then as many colored."""
        with self.fabric.no_backward_sync(self.critic, enabled=not last):
            true, colored = self.critic(photos).float().chunk(2)
            loss = (_cross_entropy(true, true=True) + _cross_entropy(colored, true=False)) / 2
            self.fabric.backward(loss * share)
        right = torch.cat([true > 0, colored <= 0])
        return {"loss_discriminator": loss.detach(), "discriminator_accuracy": right.float().mean()}

    def _seen(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return L / 50 - 1 and ab / 110 as (batch, 3, height, width), at the size of ``ab`` (in Lab units).

        If that is too small for a discriminator, ``ab`` is upsampled to the size of ``lightness``.
        """
        if min(ab.shape[2:]) < Discriminator.MIN_SIDE:
            ab = functional.interpolate(ab, lightness.shape[2:], mode="nearest")
        small = functional.interpolate(lightness, ab.shape[2:], mode="area")
        return torch.cat([small / 50 - 1, ab / AB_SCALE], dim=1)

    def _noise(self, photos: Tensor) -> Tensor:
        """Return the noise for true and colored ``photos``; it depends only on seed, process and step."""
        options = self.params.adversarial
        if not options.noise or self.steps % options.noise_every:
            return photos.new_zeros(())
        key = [self.params.seed, self.fabric.global_rank, self.steps, self.turn]
        draws = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        shape = (2 * len(photos), *photos.shape[1:])
        return options.noise * torch.randn(shape, generator=draws).to(photos.device)

    def state_dict(self) -> dict[str, Any]:
        """See :meth:`Objective.state_dict`."""
        return super().state_dict() | {
            "discriminator": self.discriminator.state_dict(),
            "discriminator_optimizer": self.critic_optimizer.optimizer.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`Objective.load_state_dict`."""
        super().load_state_dict(state)
        self.discriminator.load_state_dict(state["discriminator"])
        self.critic_optimizer.optimizer.load_state_dict(state["discriminator_optimizer"])
        self.steps = state["steps"]

    def train(self) -> None:
        """See :meth:`Objective.train`."""
        super().train()
        self.critic.train()


def _cross_entropy(logits: Tensor, *, true: bool) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(true)))
