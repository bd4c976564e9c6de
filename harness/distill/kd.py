"""`kd`: knowledge distillation from softened logits (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.distill.losses import cross_entropy, softened_kl
from harness.distill.method import InPack, Lesson, Losses, Method, Parts, Targets
from harness.models.taps import Features


class KD(Method):
    """(1 − α)·CE + α·T²·KL; α is the teacher's share (some code bases give it to the labels)."""

    name: Literal["kd"] = "kd"
    temperature: float = Field(default=4.0, gt=0, le=100)
    """T = 4 and α = 0.9 are what the published CIFAR tables use (Tian et al. 2020, arXiv 1910.10699)."""
    alpha: float = Field(default=0.9, ge=0, le=1)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"cross_entropy": 1 - self.alpha, "softened_kl": self.alpha}

    @property
    def in_pack(self) -> InPack:
        return "together"

    @property
    def shared_settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"alpha"})

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        return {
            "cross_entropy": cross_entropy(student.logits, lesson.labels),
            "softened_kl": softened_kl(student.logits, targets["logits"], self.temperature),
        }
