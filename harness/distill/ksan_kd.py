"""`ksan_kd`: KSAN with the softened answers of KD (Hinton et al. 2015) beside its own losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.distill.ksan import KSANWeights, Squeezed
from harness.distill.losses import softened_kl
from harness.distill.method import Lesson, Losses, Parts, Targets
from harness.models.taps import Features


class KSANKDWeights(KSANWeights):
    """KSAN's, and KD's, which this project weighs as the cross-entropy."""

    softened_kl: float = Field(default=1.0, ge=0)


class KSANKD(Squeezed):
    """KSAN, and KD's softened answers."""

    name: Literal["ksan_kd"] = "ksan_kd"
    weights: KSANKDWeights = KSANKDWeights()
    temperature: float = Field(default=4.0, gt=0, le=100)

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        return {
            **super().losses(student, targets, lesson, parts),
            "softened_kl": softened_kl(student.logits, targets["logits"], self.temperature),
        }
