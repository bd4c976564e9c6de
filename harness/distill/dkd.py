"""`dkd`: Decoupled Knowledge Distillation (Zhao et al. 2022, arXiv 2203.08679).

    L = CE + warm-up · (α·TCKD + β·NCKD)

KD's divergence falls into the label's probability against all others' (TCKD) and the others among
themselves (NCKD), which KD weighs by how unsure the teacher is; here both have weights of their own.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.distill.losses import cross_entropy, other_classes_kl, target_class_kl
from harness.distill.method import InPack, Lesson, Losses, Method, Parts, Targets, grown
from harness.models.taps import Features


class DKD(Method):
    """KD with the label's class and the other classes weighed apart."""

    name: Literal["dkd"] = "dkd"
    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=8.0, ge=0)
    """The paper's range over pairs is 1 to 8: 8 for ResNet-32x4, 2 for ResNet-56 and -110, 6 for WRN and VGG."""
    temperature: float = Field(default=4.0, gt=0, le=100)
    cross_entropy: float = Field(default=1.0, ge=0)
    warmup: float = Field(default=1 / 12, ge=0, le=1)
    """Share of training over which both grow to their weights, epoch by epoch; the paper's 20 of 240 epochs."""

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"cross_entropy": self.cross_entropy, "target_class": self.alpha, "other_classes": self.beta}

    def weights_at(self, progress: float) -> dict[str, float]:
        share = grown(progress, self.warmup)
        weights = self.loss_weights
        return {name: weight if name == "cross_entropy" else share * weight for name, weight in weights.items()}

    @property
    def in_pack(self) -> InPack:
        return "together"

    @property
    def shared_settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"alpha", "beta", "cross_entropy", "warmup"})

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        ours, theirs, labels = student.logits, targets["logits"], lesson.labels
        return {
            "cross_entropy": cross_entropy(ours, labels),
            "target_class": target_class_kl(ours, theirs, labels, self.temperature),
            "other_classes": other_classes_kl(ours, theirs, labels, self.temperature),
        }
