"""How a network is trained: epochs, batches, optimiser, schedule and precision."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

from harness.spec import Spec

Precision = Literal["float32", "bfloat16"]


class Cosine(Spec):
    """Linear warm-up, then half a cosine down to 0 at the last step."""

    name: Literal["cosine"] = "cosine"
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of all steps."""

    def factor(self, progress: float) -> float:
        """The share of the peak learning rate at a progress in [0, 1)."""
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


class Steps(Spec):
    """The rate times `factor` at each milestone; defaults: ÷10 at 150, 180 and 210 of 240 epochs."""

    name: Literal["steps"] = "steps"
    milestones: tuple[float, ...] = (0.625, 0.75, 0.875)
    """Shares of all steps, rising."""
    decay: float = Field(default=0.1, gt=0, lt=1)

    @field_validator("milestones")
    @classmethod
    def _rise_within_the_schedule(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if list(milestones) != sorted(set(milestones)) or not all(0 < share < 1 for share in milestones):
            raise ValueError("milestones are rising shares of the schedule, between 0 and 1")
        return milestones

    def factor(self, progress: float) -> float:
        """The share of the peak learning rate at a progress in [0, 1)."""
        return self.decay ** sum(progress >= share for share in self.milestones)


class Training(Spec):
    """The settings of one training run; defaults are those that worked on digits (see studies/)."""

    epochs: int = Field(default=60, ge=1, le=10_000)
    batch_size: int = Field(default=32, ge=2, le=65_536)
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    """Peak rate of SGD with momentum."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    schedule: Annotated[Cosine | Steps, Field(discriminator="name")] = Cosine()
    clip: float = Field(default=5.0, gt=0)
    """Largest norm of the student's gradient; larger ones are scaled down to it."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between looks at validation; the last epoch is always evaluated."""
    precision: Precision = "float32"
    """bfloat16 runs the networks under autocast; losses and weights stay float32."""
    channels_last: bool = False

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The rate of step `step` (from 0) of `steps`."""
        return self.learning_rate * self.schedule.factor((step + 1) / (steps + 1))

    def optimiser(self, *modules: nn.Module) -> torch.optim.SGD:
        """SGD over the modules' parameters, fused.

        Momentum begins as zeros instead of with the first gradient, which comes to the same, since the fused
        step cannot mix the two: a loss that joins later (FitNet's second stage) reaches weights for the first time.
        """
        optimiser = torch.optim.SGD(
            [parameter for module in modules for parameter in module.parameters()],
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            weight_decay=self.weight_decay,
            fused=True,
        )
        for parameter in optimiser.param_groups[0]["params"]:
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter) if self.momentum else None
        return optimiser


def adversary_optimiser(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Adam with the momentum that GANs are trained with (Radford et al. 2016: β1 = 0.5), fused."""
    return torch.optim.Adam(network.parameters(), lr=learning_rate, betas=(0.5, 0.999), fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives every parameter group the rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
