"""`scratch`: the student alone, trained on the labels; also how teachers are trained."""

from __future__ import annotations

from typing import Literal

from harness.distill.losses import cross_entropy
from harness.distill.method import InPack, Lesson, Losses, Method, Parts, Targets
from harness.models.taps import Features


class Scratch(Method):
    """Cross-entropy with the labels and nothing else: the line that every other method must cross."""

    name: Literal["scratch"] = "scratch"

    @property
    def needs_teacher(self) -> bool:
        return False

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    @property
    def in_pack(self) -> InPack:
        return "together"

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        return {"cross_entropy": cross_entropy(student.logits, lesson.labels)}
