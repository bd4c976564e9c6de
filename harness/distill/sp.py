"""`sp`: Similarity-Preserving knowledge distillation (Tung & Mori 2019, arXiv 1907.09682)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harness.distill.losses import similarity_distance
from harness.distill.method import Losses
from harness.distill.relations import Relational
from harness.distill.transfer import TransferWeights
from harness.models.pairing import Taps


class SPWeights(TransferWeights):
    """γ = 3000 as in the paper and in the published tables."""

    similarity: float = Field(default=3000.0, ge=0)


class SP(Relational):
    """Which images of a batch activate a map alike: ‖G_S − G_T‖²_F / b²."""

    name: Literal["sp"] = "sp"
    weights: SPWeights = SPWeights()
    taps: Taps = 1
    """The paper's: the end of the last stage."""

    def relation(self, ours: Tensor, theirs: Tensor) -> Losses:
        return {"similarity": similarity_distance(ours, theirs)}
