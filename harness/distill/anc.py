"""`anc`: Adversarial Network Compression (Belagiannis et al. 2018, arXiv 1803.10750).

A discriminator on logits beside the distance of logits. It is KSAN without attention, and KSAN's
`losses` builds on these.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from harness.distill.discriminator import Discriminator
from harness.distill.losses import cross_entropy, squared_distance
from harness.distill.method import InPack, Lesson, Losses, Method, Pairing, Parts, Targets
from harness.models.taps import Features
from harness.spec import Spec


class ANCWeights(Spec):
    """λ's of the losses; this project's choices, since neither paper prints KSAN's."""

    cross_entropy: float = Field(default=1.0, ge=0)
    """0 is the papers': they print no cross-entropy of the student with the labels."""
    logits: float = Field(default=10.0, ge=0)
    adversarial: float = Field(default=0.1, ge=0)


class Adversarial(Method):
    """What ANC and KSAN share: the distance of logits, and a discriminator that sees logits."""

    weights: ANCWeights = ANCWeights()
    discriminator: Discriminator = Discriminator()

    @property
    def loss_weights(self) -> dict[str, float]:
        return dict(self.weights.model_dump())

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        logits = parts.pairing.standardised(student.logits)
        says_of_student = _network(parts)(logits)
        return {
            "cross_entropy": cross_entropy(student.logits, lesson.labels),
            "logits": self.logit_distance(logits, parts.pairing.standardised(targets["logits"])),
            "adversarial": self.discriminator.student_loss(says_of_student, lesson.labels),
        }

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """How far apart two sets of standardised logits are: (n, classes) twice → (n,)."""
        return squared_distance(student, teacher)

    def adversary(self, pairing: Pairing) -> nn.Module | None:
        return self.discriminator.build(pairing.classes)

    @property
    def adversary_learning_rate(self) -> float:
        return self.discriminator.learning_rate

    def adversary_losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Tensor:
        network, standardised = _network(parts), parts.pairing.standardised
        says_of_teacher = network(standardised(targets["logits"]))
        says_of_student = network(standardised(student.logits))
        return self.discriminator.own_loss(says_of_teacher, says_of_student, lesson.labels)

    def adversary_penalty(self, parts: Parts) -> Tensor | None:
        return self.discriminator.weight_penalty(_network(parts))

    @property
    def in_pack(self) -> InPack:
        return "never" if self.discriminator.penalises_weights else "together"

    @property
    def shared_settings(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"weights": True, "discriminator": {"learning_rate"}})


class ANC(Adversarial):
    """Logit distance, adversary and, if weighed, cross-entropy."""

    name: Literal["anc"] = "anc"


def _network(parts: Parts) -> nn.Module:
    if parts.adversary is None:
        raise ValueError("an adversarial method was given parts without an adversary")
    return parts.adversary
