"""`can`: conditional adversarial distillation (Xu et al. 2017, arXiv 1709.00513).

    L = CE + |logits of student − logits of teacher| + the discriminator's, class head included

The discriminator sees logits and nothing else, and also predicts the class of what it sees: the label is
the condition. The paper finds three layers best on CIFAR-100 (its errors with 1 to 4: 26.13, 25.88, 25.75
and 27.42 %). Weights of 1, the width, batch normalisation and the optimiser are this project's choices.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harness.distill.anc import Adversarial, ANCWeights
from harness.distill.discriminator import Discriminator
from harness.distill.losses import absolute_distance


class CANWeights(ANCWeights):
    """The three losses alike."""

    logits: float = Field(default=1.0, ge=0)
    adversarial: float = Field(default=1.0, ge=0)


class CAN(Adversarial):
    """Cross-entropy, absolute logit distance, and a residual discriminator that knows classes."""

    name: Literal["can"] = "can"
    weights: CANWeights = CANWeights()
    discriminator: Discriminator = Discriminator(widths=(128, 128, 128), residual=True, regularisers=())

    def logit_distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        return absolute_distance(student, teacher)
