"""`l2`: regression of the teacher's logits (Ba & Caruana 2014, arXiv 1312.6184), KSAN's L_b alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.distill.losses import cross_entropy, squared_distance
from harness.distill.method import InPack, Lesson, Losses, Method, Parts, Targets
from harness.models.taps import Features
from harness.spec import Spec


class L2Weights(Spec):
    """Weights of the two losses; a cross-entropy of 0 is the paper's."""

    cross_entropy: float = Field(default=0.0, ge=0)
    logits: float = Field(default=10.0, ge=0)


class L2(Method):
    """Mean squared distance of logits in units of the teacher's spread, plus cross-entropy if weighed."""

    name: Literal["l2"] = "l2"
    weights: L2Weights = L2Weights()

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"cross_entropy": self.weights.cross_entropy, "logits": self.weights.logits}

    @property
    def in_pack(self) -> InPack:
        return "together"

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        standardised = parts.pairing.standardised
        return {
            "cross_entropy": cross_entropy(student.logits, lesson.labels),
            "logits": squared_distance(standardised(student.logits), standardised(targets["logits"])),
        }
