"""`ksan`: Knowledge Squeezed Adversarial Network compression (Shu et al. 2019, arXiv 1904.05100).

    L = λ1·L_b + λ2·L_adv + λ3·L_is  (+ cross-entropy, a setting; the paper prints none)

    L_b    distance of logits                                   weights.logits
    L_adv  a discriminator on logits, with a class head         weights.adversarial, discriminator
    L_is   distance of squeezed, attention-pooled descriptors   weights.squeezed, attention

The paper prints no λ, μ, width, optimiser or schedule: every such default here is this project's own,
and no figure made with them is the paper's.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from harness.distill.anc import Adversarial, ANCWeights
from harness.distill.attention import FORM, Attention, Squeeze, TeacherAttention
from harness.distill.losses import squared_distance
from harness.distill.method import Lesson, Losses, Pairing, Parts, Pretraining, Targets, TeacherPart
from harness.models.pairing import Taps
from harness.models.taps import Features


class KSANWeights(ANCWeights):
    """λ1 (logits), λ2 (adversarial), λ3 (squeezed), and the cross-entropy's weight."""

    squeezed: float = Field(default=0.1, ge=0)


class Squeezed(Adversarial):
    """What KSAN and its blend with KD share."""

    weights: KSANWeights = KSANWeights()
    attention: Attention = Attention()

    @property
    def tapped(self) -> Taps:
        return self.attention.taps

    @property
    def pretraining(self) -> Pretraining:
        return self.attention.pretraining

    @property
    def teacher_settings(self) -> Attention:
        return self.attention

    @property
    def target_settings(self) -> list[object]:
        return [FORM]

    def student_part(self, pairing: Pairing) -> nn.Module:
        return Squeeze(pairing.student, pairing.teacher, self.attention, transform=True)

    def teacher_part(self, pairing: Pairing) -> TeacherPart:
        return TeacherAttention(pairing, self.attention)

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        return {"logits": teacher.logits, "squeezed": _estimators(parts)(teacher.maps)}

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        squeezed = _estimators(parts).scaled(parts.student(student.maps))
        return {
            **super().losses(student, targets, lesson, parts),
            "squeezed": squared_distance(squeezed, targets["squeezed"]),
        }


class KSAN(Squeezed):
    """Logit distance, adversary, and the distance of squeezed descriptors at the taps."""

    name: Literal["ksan"] = "ksan"


def _estimators(parts: Parts) -> TeacherAttention:
    if not isinstance(parts.teacher, TeacherAttention):
        raise ValueError("ksan was given parts without the teacher's estimators")
    return parts.teacher
