"""`dist`: Knowledge Distillation from A Stronger Teacher (Huang et al. 2022, arXiv 2205.10536).

    L = α·CE + β·τ²·(1 − ρ over an image's classes) + γ·τ²·(1 − ρ over a class's images)

ρ is Pearson's correlation of softened probabilities: what is kept of the teacher is the order and the
relative size of its answers, not their scale.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harness.distill.losses import correlation_distance, cross_entropy
from harness.distill.method import InPack, Lesson, Losses, Method, Parts, Targets
from harness.models.taps import Features
from harness.spec import Spec


class DISTWeights(Spec):
    """α, β and γ; the paper's on CIFAR-100."""

    cross_entropy: float = Field(default=1.0, ge=0)
    inter_class: float = Field(default=2.0, ge=0)
    """β, over the classes of an image."""
    intra_class: float = Field(default=2.0, ge=0)
    """γ, over the images of a class within the batch."""


class DIST(Method):
    """Correlation of the answers, image by image and class by class."""

    name: Literal["dist"] = "dist"
    weights: DISTWeights = DISTWeights()
    temperature: float = Field(default=4.0, gt=0, le=100)
    """τ; 4 is the paper's on CIFAR-100 and 1 on ImageNet."""

    @property
    def loss_weights(self) -> dict[str, float]:
        return dict(self.weights.model_dump())

    @property
    def in_pack(self) -> InPack:
        return "one_by_one"

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        ours, theirs = ((logits / self.temperature).softmax(dim=1) for logits in (student.logits, targets["logits"]))
        scale = self.temperature**2
        return {
            "cross_entropy": cross_entropy(student.logits, lesson.labels),
            "inter_class": scale * correlation_distance(ours, theirs),
            "intra_class": scale * _shared(correlation_distance(ours.T, theirs.T), len(ours)),
        }


def _shared(by_class: Tensor, count: int) -> Tensor:
    """The mean over classes, the same share for every image: (classes,) → (n,)."""
    return by_class.mean().expand(count)
