"""Training against a discriminator: a generative adversarial network (Goodfellow and others 2014).

A brown photo is a good compromise, but no photo: the discriminator learns to tell it from a true one, and the
colorizer pays for being found out. As in pix2pix (Isola and others 2017) the discriminator sees lightness
beside colour and the loss on the true colours stays, whichever ``train.loss`` is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from stages.networks.base import AB_SCALE, Colorizer
from stages.networks.discriminator import Discriminator
from stages.networks.lab import rgb_to_lab
from stages.train.data import to_rgb
from stages.train.objective import Objective
from stages.train.params import Params

CURVES = ("loss_generator", "loss_discriminator", "discriminator_accuracy")
"""What a step returns beside "loss"."""


class Adversarial(Objective):
    """A colorizer and a discriminator that learn from each other, a step each on every batch.

    The discriminator makes the binary cross-entropy of telling true from coloured photos small; the colorizer
    its own loss plus ``train.adversarial.weight`` times that of being taken for true. Both numbers are 0.69
    (ln 2) where the discriminator can only toss a coin. Every so many steps the discriminator's photos are
    noisy (Sonderby and others 2017): one that is always right teaches nothing, and colours collapse.
    """

    def __init__(self, params: Params, network: Colorizer, fabric: Fabric) -> None:
        super().__init__(params, network, fabric)
        self.module, self.optimizer = self.set_up(network, lr=params.lr)
        self.discriminator = Discriminator()
        self.critic, self.critic_optimizer = self.set_up(self.discriminator, lr=params.adversarial.lr)
        self.steps = 0
        self.turn = 0  # of the micro-batch in its step

    def step(
        self,
        batch: Tensor,
        worn: Tensor | None,
        *,
        lr_factor: float,
        hints: Tensor | None = None,
        share: float = 1.0,
        last: bool = True,
    ) -> dict[str, Tensor]:
        """See :meth:`Objective.step`; "loss" is the one on the true colours, without the discriminator's.

        Beside it: loss_generator and loss_discriminator, the two cross-entropies, and
        discriminator_accuracy, the share of photos, true and coloured, that it took for what they are.
        """
        inputs, targets = self.pairs(batch, worn, hints)
        lightness = rgb_to_lab(to_rgb(self.fabric.to_device(batch)))[:, :1]
        with self.fabric.no_backward_sync(self.module, enabled=not last):
            outputs = self.module(inputs).float()
            coloured = self._seen(lightness, self.network.ab_of(outputs))
            true = self._seen(lightness, self.network.ab_of(targets))
            noise = self._noise(true)
            judged = self._learn_to_tell(torch.cat([true, coloured.detach()]) + noise, share, last=last)
            loss = self.loss(outputs, targets)
            # True ones beside: batch-norm must find the discriminator the photos it learned on. Not through
            # Fabric's wrapper, for of this pass the discriminator itself learns nothing.
            self.discriminator.requires_grad_(False)
            with self.fabric.autocast():
                logits = self.discriminator(torch.cat([true, coloured]) + noise).float()[len(true) :]
            self.discriminator.requires_grad_(True)
            loss_generator = _cross_entropy(logits, true=True)
            self.fabric.backward((loss + self.params.adversarial.weight * loss_generator) * share)
        self.turn += 1
        if last:
            self.update(self.critic, self.critic_optimizer, lr=self.params.adversarial.lr * lr_factor)
            self.update(self.module, self.optimizer, lr=self.params.lr * lr_factor)
            self.steps, self.turn = self.steps + 1, 0
        return {"loss": loss.detach(), "loss_generator": loss_generator.detach(), **judged}

    def _learn_to_tell(self, photos: Tensor, share: float, *, last: bool) -> dict[str, Tensor]:
        """Let the discriminator's gradients add up on ``photos``, true ones first and as many coloured."""
        with self.fabric.no_backward_sync(self.critic, enabled=not last):
            true, coloured = self.critic(photos).float().chunk(2)
            loss = (_cross_entropy(true, true=True) + _cross_entropy(coloured, true=False)) / 2
            self.fabric.backward(loss * share)
        right = torch.cat([true > 0, coloured <= 0])
        return {"loss_discriminator": loss.detach(), "discriminator_accuracy": right.float().mean()}

    def _seen(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return L / 50 - 1 and ab / 110, (batch, 3, height, width), at the size of ``ab`` (Lab units).

        Where that is smaller than a discriminator can look at, it is brought up.
        """
        if min(ab.shape[2:]) < Discriminator.MIN_SIDE:
            ab = functional.interpolate(ab, lightness.shape[2:], mode="nearest")
        small = functional.interpolate(lightness, ab.shape[2:], mode="area")
        return torch.cat([small / 50 - 1, ab / AB_SCALE], dim=1)

    def _noise(self, photos: Tensor) -> Tensor:
        """Return what is added to true and coloured ``photos``; it follows from seed and step alone."""
        options = self.params.adversarial
        if not options.noise or self.steps % options.noise_every:
            return photos.new_zeros(())
        place = [self.params.seed, self.fabric.global_rank, self.steps, self.turn]
        draws = torch.Generator().manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
        shape = (2 * len(photos), *photos.shape[1:])
        return options.noise * torch.randn(shape, generator=draws).to(photos.device)

    def state_dict(self) -> dict[str, Any]:
        """See :meth:`Objective.state_dict`."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.optimizer.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "discriminator_optimizer": self.critic_optimizer.optimizer.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`Objective.load_state_dict`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.optimizer.load_state_dict(state["optimizer"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.critic_optimizer.optimizer.load_state_dict(state["discriminator_optimizer"])
        self.steps = state["steps"]

    def train(self) -> None:
        """See :meth:`Objective.train`."""
        self.module.train()
        self.critic.train()


def _cross_entropy(logits: Tensor, *, true: bool) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(true)))
