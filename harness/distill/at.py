"""`at`: attention transfer (Zagoruyko & Komodakis 2017, arXiv 1612.03928), its activation-based kind.

    Q(map) = Σ_channels |map|^p or max_channels |map|^p, as a vector of length 1
    L = CE + β · Σ_taps d(Q_S, Q_T)

The paper prints d = ½‖Q_S − Q_T‖₂ (equation 2); its authors' code, and with it the published β = 1000,
takes the mean square of the entries. Both are here, by `distance`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from harness.distill.losses import attention_distance, squared_distance
from harness.distill.method import InPack, Lesson, Losses, Parts, Targets
from harness.distill.transfer import Transfer, TransferWeights, summed_over_taps
from harness.models.batch_invariant import evenly
from harness.models.pairing import Taps
from harness.models.taps import Features


class ATWeights(TransferWeights):
    """β of Tian et al. 2020 (arXiv 1910.10699), for the mean square."""

    attention: float = Field(default=1000.0, ge=0)


class AT(Transfer):
    """Where the maps are active, as one map a tap."""

    name: Literal["at"] = "at"
    weights: ATWeights = ATWeights()
    taps: Taps = "all"
    distance: Literal["mean_square", "norm"] = "mean_square"
    """The code's, or the printed equation's (for which a weight of about 1 is the same order of size)."""
    power: float = Field(default=2.0, ge=1, le=8)
    """p of the attention map."""
    over_channels: Literal["sum", "max"] = "sum"

    @property
    def tapped(self) -> Taps:
        return self.taps

    @property
    def needs_positions(self) -> bool:
        return True

    @property
    def target_settings(self) -> list[object]:
        settings: list[object] = [self.power, self.over_channels]
        return settings if self._is_exact else [*settings, "evenly"]

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        attention = {f"attention {tap}": a for tap, a in self._attention(teacher, parts).items()}
        return {"logits": teacher.logits, **attention}

    @property
    def in_pack(self) -> InPack:
        return "together"

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        pairs = [(ours, targets[f"attention {tap}"]) for tap, ours in self._attention(student, parts).items()]
        if self.distance == "norm":
            distances = [0.5 * attention_distance(ours, theirs) for ours, theirs in pairs]
        else:
            distances = [squared_distance(ours, theirs) for ours, theirs in pairs]
        return {"attention": summed_over_taps(distances)}

    @property
    def _is_exact(self) -> bool:
        """Whether its power is a product, and no approximation that depends on where a number stands."""
        return self.power in (1, 2)

    def _attention(self, said: Features, parts: Parts) -> dict[str, Tensor]:
        return {tap: self._of(maps) for tap, maps in parts.pairing.resized(said.maps).items()}

    def _of(self, maps: Tensor) -> Tensor:
        """(n, c, h, w) → (n, h·w), each row of length 1."""
        size = maps.abs()
        strength = size.pow(self.power) if self._is_exact else evenly(lambda sizes: sizes.pow(self.power), size)
        flat = strength.sum(dim=1) if self.over_channels == "sum" else strength.amax(dim=1)
        return F.normalize(flat.flatten(1))
