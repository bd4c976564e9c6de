"""What most rivals share: cross-entropy, softened answers if weighed, and one loss of their own.

    L = w_CE · CE + w_KL · T²·KL + w · (the method's own)

The published tables give the second weight 0; "method + KD" is the same method with another weight.
"""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor

from harness.distill.losses import cross_entropy, softened_kl
from harness.distill.method import Lesson, Losses, Method, Parts, Targets
from harness.models.taps import Features
from harness.spec import Spec


class TransferWeights(Spec):
    """The weights of the two shared losses; a method adds its own."""

    cross_entropy: float = Field(default=1.0, ge=0)
    softened_kl: float = Field(default=0.0, ge=0)


class Transfer(Method):
    """Cross-entropy, KD, and what `knowledge` gives."""

    weights: TransferWeights
    temperature: float = Field(default=4.0, gt=0, le=100)
    """Of the softened answers."""

    @property
    def loss_weights(self) -> dict[str, float]:
        return dict(self.weights.model_dump())

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        return {
            "cross_entropy": cross_entropy(student.logits, lesson.labels),
            "softened_kl": softened_kl(student.logits, targets["logits"], self.temperature),
            **self.knowledge(student, targets, lesson, parts),
        }

    @abstractmethod
    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        """The method's own losses."""


def summed_over_taps(losses: list[Tensor]) -> Tensor:
    """The sum over taps of losses per image, (n,)."""
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total
