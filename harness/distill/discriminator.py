"""The discriminator: tells teacher logits from student logits, and which class they speak of.

    logits ─ BN ─ FC ─ BN, ReLU ─ FC ─ BN, ReLU ─ … ─ FC ─► 1 verdict + C class logits

With `residual`, a layer that keeps its width adds what entered it.

Shape: Shu et al. 2019 (arXiv 1904.05100), figure 2. Regularisers: Belagiannis et al. 2018 (arXiv
1803.10750), eq. 8–10. Widths, μ and the optimiser are this project's choices: the paper prints none.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from harness.distill.losses import cross_entropy, taken_for_fake, taken_for_real
from harness.spec import Spec

Regulariser = Literal["l1", "l2", "adversarial_samples"]


class Discriminator(Spec):
    """The adversary's shape, its regularisers and its learning rate."""

    widths: tuple[int, ...] = (128, 256, 128)
    """Hidden widths; how many there are is the discriminator's depth."""
    residual: bool = False
    class_head: bool = True
    """L^C_adv: it also predicts the class of what it sees, and the student is pushed to be predictable."""
    regularisers: tuple[Regulariser, ...] = ("adversarial_samples",)
    """L_reg's terms. `l1` and `l2` are means over the weights, so that μ means the same for every width."""
    mu: float = Field(default=1.0, ge=0)
    """μ, the weight of L_reg."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Adam's."""
    student_objective: Literal["non_saturating", "minimax"] = "non_saturating"
    """The student minimises −log D (gradient where D is sure), or the paper's log(1 − D)."""

    @field_validator("widths")
    @classmethod
    def _are_positive(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(widths) <= 6 or min(widths) < 1 or max(widths) > 65_536:
            raise ValueError("widths are 1 to 6 positive numbers up to 65536")
        return widths

    @field_validator("regularisers")
    @classmethod
    def _are_distinct(cls, names: tuple[Regulariser, ...]) -> tuple[Regulariser, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a regulariser stands twice; keep one")
        return tuple(sorted(names))

    def build(self, classes: int) -> nn.Sequential:
        """A fresh discriminator: standardised logits (n, classes) → (n, 1 + classes), or (n, 1)."""
        layers: list[nn.Module] = [nn.BatchNorm1d(classes)]
        entering = classes
        for width in self.widths:
            layer = nn.Sequential(nn.Linear(entering, width), nn.BatchNorm1d(width), nn.ReLU())
            layers += [Residual(layer)] if self.residual and width == entering else list(layer)
            entering = width
        return nn.Sequential(*layers, nn.Linear(entering, 1 + classes * self.class_head))

    def student_loss(self, says_of_student: Tensor, labels: Tensor) -> Tensor:
        """L°_adv and L^C_adv as the student sees them: the discriminator's output, labels → (n,)."""
        verdict = says_of_student[:, 0]
        saturates = self.student_objective == "minimax"
        loss = -taken_for_fake(verdict) if saturates else taken_for_real(verdict)
        if self.class_head:
            loss = loss + cross_entropy(says_of_student[:, 1:], labels)
        return loss

    def own_loss(self, says_of_teacher: Tensor, says_of_student: Tensor, labels: Tensor) -> Tensor:
        """−L_adv as the discriminator sees it, weights' regularisers apart: outputs, labels → (n,)."""
        loss = taken_for_real(says_of_teacher[:, 0]) + taken_for_fake(says_of_student[:, 0])
        if "adversarial_samples" in self.regularisers:
            loss = loss + self.mu * taken_for_real(says_of_student[:, 0])
        if self.class_head:
            loss = loss + cross_entropy(says_of_teacher[:, 1:], labels) + cross_entropy(says_of_student[:, 1:], labels)
        return loss

    @property
    def penalises_weights(self) -> bool:
        """Whether `weight_penalty` is anything."""
        return "l1" in self.regularisers or "l2" in self.regularisers

    def weight_penalty(self, network: nn.Module) -> Tensor | None:
        """μ·(mean |w| + mean w²) over the weight matrices, by the regularisers chosen; a scalar, or None for none."""
        if not self.penalises_weights:
            return None
        weights = [module.weight.flatten() for module in network.modules() if isinstance(module, nn.Linear)]
        count = sum(len(weight) for weight in weights)
        penalty = torch.zeros((), device=weights[0].device)
        if "l1" in self.regularisers:
            penalty = penalty + self.mu * sum(weight.abs().sum() for weight in weights) / count
        if "l2" in self.regularisers:
            penalty = penalty + self.mu * sum(weight.square().sum() for weight in weights) / count
        return penalty


class Residual(nn.Module):
    """A layer that adds what enters it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) → (n, d)."""
        changed: Tensor = self.layer(features)
        return features + changed
