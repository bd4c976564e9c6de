"""Optimisers of stacked networks: torch's arithmetic, with a learning rate, momentum and decay of each member's own.

torch's optimisers take one rate for a tensor; here member n's rate stands in row n. A step is a handful of
operations on all weights at once, since a stack keeps them in one tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.models.stacked import Stacked
from harness.train.optim import Training

BETAS, EPSILON = (0.5, 0.999), 1e-8


def column(values: Sequence[float], like: Tensor) -> Tensor:
    """One number a member, (members, 1)."""
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None]


class StackedSGD:
    """SGD with momentum and weight decay, as `Training.optimiser` sets it up."""

    def __init__(self, stack: Stacked, trainings: Sequence[Training]) -> None:
        self.stack = stack
        self.velocity = torch.zeros_like(stack.values)
        self._momentum = column([training.momentum for training in trainings], stack.values)
        self._decay = column([training.weight_decay for training in trainings], stack.values)
        self._nesterov = trainings[0].nesterov and trainings[0].momentum > 0

    def step(self, rate: Tensor, scale: Tensor) -> None:
        """One step by the stack's gradients times `scale`; both are (members, 1). The gradients are used up."""
        gradient = self.stack.gradients.mul_(scale).addcmul_(self.stack.values, self._decay)
        self.velocity.mul_(self._momentum).add_(gradient)
        step = gradient.addcmul_(self.velocity, self._momentum) if self._nesterov else self.velocity
        self.stack.values.addcmul_(step, rate, value=-1)

    def state(self, member: int) -> Tensor:
        """What a checkpoint keeps of a member."""
        return self.velocity[member].clone()

    def take_up(self, member: int, state: Tensor) -> None:
        """Gives a member what a checkpoint kept."""
        self.velocity[member] = state

    def keep(self, members: Sequence[int]) -> None:
        """Goes on with some members, after the stack did."""
        rows = torch.tensor(members, device=self.velocity.device)
        self.velocity, self._momentum, self._decay = self.velocity[rows], self._momentum[rows], self._decay[rows]


class StackedAdam:
    """Adam as `adversary_optimiser` sets it up."""

    def __init__(self, stack: Stacked, rates: Sequence[float]) -> None:
        self.stack = stack
        self.mean, self.square = torch.zeros_like(stack.values), torch.zeros_like(stack.values)
        self._rates, self._steps = list(rates), [0] * len(rates)
        self._corrections: list[tuple[Tensor, Tensor]] = []

    def begin_epoch(self, count: int) -> None:
        """Works out the bias corrections of so many steps: a copy to a GPU in each step would wait for it."""
        first, second = BETAS
        # Powers are worked out one by one: a vector's last elements are rounded differently from its others.
        ahead = [[steps + step + 1 for steps in self._steps] for step in range(count)]
        roots = [[math.sqrt(1 - second**steps) for steps in of_step] for of_step in ahead]
        rates = [
            [rate / (1 - first**steps) for rate, steps in zip(self._rates, of_step, strict=True)] for of_step in ahead
        ]
        columns = [torch.tensor(of, dtype=torch.float32, device=self.mean.device)[:, :, None] for of in (roots, rates)]
        self._corrections = list(zip(*(column.unbind() for column in columns), strict=True))[::-1]

    def step(self) -> None:
        """One step by the stack's gradients, of those that the epoch has."""
        gradient, (first, second) = self.stack.gradients, BETAS
        root, rates = self._corrections.pop()
        self._steps = [steps + 1 for steps in self._steps]
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (self.square.sqrt() / root).add_(EPSILON)
        self.stack.values.addcmul_(self.mean / spread, rates, value=-1)

    def state(self, member: int) -> Tensor:
        """What a checkpoint keeps of a member."""
        steps = torch.tensor([float(self._steps[member])])
        return torch.cat([self.mean[member].cpu(), self.square[member].cpu(), steps])

    def take_up(self, member: int, state: Tensor) -> None:
        """Gives a member what a checkpoint kept."""
        weights = self.mean.shape[1]
        self.mean[member], self.square[member], steps = state.split([weights, weights, 1])
        self._steps[member] = int(steps)

    def keep(self, members: Sequence[int]) -> None:
        """Goes on with some members, after the stack did."""
        rows = torch.tensor(members, device=self.mean.device)
        self.mean, self.square = self.mean[rows], self.square[rows]
        self._rates = [self._rates[member] for member in members]
        self._steps = [self._steps[member] for member in members]
