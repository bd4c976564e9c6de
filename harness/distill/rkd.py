"""`rkd`: Relational Knowledge Distillation (Park et al. 2019, arXiv 1904.05068)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harness.distill.losses import angle_relation, distance_relation
from harness.distill.method import Losses
from harness.distill.relations import Relational
from harness.distill.transfer import TransferWeights


class RKDWeights(TransferWeights):
    """25 and 50, which the published tables use; the paper's own 1 : 2 ratio."""

    distance: float = Field(default=25.0, ge=0)
    angle: float = Field(default=50.0, ge=0)


class RKD(Relational):
    """Distances of pairs and angles of triples of embeddings."""

    name: Literal["rkd"] = "rkd"
    weights: RKDWeights = RKDWeights()

    def relation(self, ours: Tensor, theirs: Tensor) -> Losses:
        return {"distance": distance_relation(ours, theirs), "angle": angle_relation(ours, theirs)}
