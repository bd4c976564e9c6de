"""Optimisers of stacked networks: torch's arithmetic, with a learning rate, momentum and decay of each member's own.

torch's optimisers take one rate for a tensor; here member n's rate stands in row n. A step is a handful of
operations on all weights at once, since a stack keeps them in one tensor.
"""

from __future__ import annotations

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
    """Adam as `adversary_optimiser` sets it up: torch's own, to which each member is one tensor of weights."""

    def __init__(self, stack: Stacked, rates: Sequence[float]) -> None:
        self.stack, self._rates = stack, list(rates)
        self._states: list[dict[str, Tensor]] = [{} for _ in rates]
        self._build()

    def _build(self) -> None:
        """The optimiser over what the stack's weights are now, at the states of its members."""
        rows = list(self.stack.values.detach().unbind())
        for row, gradient in zip(rows, self.stack.gradients.unbind(), strict=True):
            row.grad = gradient
        by_rate: dict[float, list[Tensor]] = {}
        for row, rate in zip(rows, self._rates, strict=True):
            by_rate.setdefault(rate, []).append(row)
        groups = [{"params": of_rate, "lr": rate} for rate, of_rate in by_rate.items()]
        self._optimiser = torch.optim.Adam(groups, betas=BETAS, eps=EPSILON, fused=True)
        for row, state in zip(rows, self._states, strict=True):
            if state:
                self._optimiser.state[row] = state
        self._rows = rows

    def step(self) -> None:
        """One step by the stack's gradients."""
        self._optimiser.step()

    def state(self, member: int) -> dict[str, Tensor]:
        """What a checkpoint keeps of a member: copies, nothing before its first step."""
        return {name: value.clone() for name, value in self._optimiser.state[self._rows[member]].items()}

    def take_up(self, member: int, state: dict[str, Tensor]) -> None:
        """Gives a member what a checkpoint kept; raises `ValueError` where that is of another optimiser."""
        weights = self.stack.values.shape[1:]
        shapes = {"step": torch.Size(), "exp_avg": weights, "exp_avg_sq": weights}
        if not isinstance(state, dict) or (state and {name: value.shape for name, value in state.items()} != shapes):
            raise ValueError("this is no state of Adam's over these weights")
        self._gather()
        self._states[member] = {name: value.to(self.stack.values.device) for name, value in state.items()}
        self._build()

    def keep(self, members: Sequence[int]) -> None:
        """Goes on with some members, after the stack did."""
        self._gather()
        self._states = [self._states[member] for member in members]
        self._rates = [self._rates[member] for member in members]
        self._build()

    def _gather(self) -> None:
        self._states = [dict(self._optimiser.state[row]) for row in self._rows]
