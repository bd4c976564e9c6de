"""`pkt`: Probabilistic Knowledge Transfer (Passalis & Tefas 2018, arXiv 1803.10837)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from harness.distill.losses import probabilistic_transfer
from harness.distill.method import Losses
from harness.distill.relations import Relational
from harness.distill.transfer import TransferWeights


class PKTWeights(TransferWeights):
    """30,000 as in the published tables (Tian et al. 2020): the loss is a mean over b² small terms."""

    resemblance: float = Field(default=30_000.0, ge=0)


class PKT(Relational):
    """Who resembles whom in the batch, by cosine, as a distribution."""

    name: Literal["pkt"] = "pkt"
    weights: PKTWeights = PKTWeights()

    def relation(self, ours: Tensor, theirs: Tensor) -> Losses:
        return {"resemblance": probabilistic_transfer(ours, theirs)}
