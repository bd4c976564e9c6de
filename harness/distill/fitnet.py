"""`fitnet`: hints from a middle layer (Romero et al. 2015, arXiv 1412.6550).

    stage 1   the student up to the hint, and a regressor on it, learn ‖teacher's map − regressor(student's map)‖²
    stage 2   the whole student learns CE + KD

That is the paper's, and the default. KD's weight falls linearly to a quarter over stage 2 (the authors' λ
from 4 to 1, at T = 3 and without KD's factor T²). `stages: one` adds the hint to the cross-entropy
throughout, as the published tables do (Tian et al. 2020, arXiv 1910.10699: weight 100).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from harness.distill.losses import squared_distance
from harness.distill.method import InPack, Lesson, Losses, Pairing, Parts, Targets
from harness.distill.regressors import regressors
from harness.distill.transfer import Transfer, TransferWeights, summed_over_taps
from harness.models.pairing import Taps
from harness.models.taps import Features


class FitNetWeights(TransferWeights):
    """The authors' λ = 4 over T² = 9, and the published tables' weight of the hint."""

    softened_kl: float = Field(default=4 / 9, ge=0)
    """In stage 2 at its beginning."""
    hint: float = Field(default=100.0, ge=0)


class FitNet(Transfer):
    """Regression of a middle map, first or throughout."""

    name: Literal["fitnet"] = "fitnet"
    weights: FitNetWeights = FitNetWeights()
    temperature: float = Field(default=3.0, gt=0, le=100)
    taps: Taps = "middle"
    """The hint and the guided layer."""
    stages: Literal["two", "one"] = "two"
    hint_share: float = Field(default=0.25, gt=0, lt=1)
    """Stage 1's share of training, where there are two; the paper trains it until validation stalls."""

    @property
    def tapped(self) -> Taps:
        return self.taps

    def weights_at(self, progress: float) -> dict[str, float]:
        if self.stages == "one":
            return self.loss_weights
        weights = self.loss_weights
        if progress < self.hint_share:
            return {name: weight if name == "hint" else 0.0 for name, weight in weights.items()}
        fallen = 0.75 * (progress - self.hint_share) / (1 - self.hint_share)
        return {**weights, "hint": 0.0, "softened_kl": weights["softened_kl"] * (1 - fallen)}

    def student_part(self, pairing: Pairing) -> nn.Module:
        return regressors(pairing)

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        maps = {f"map {tap}": maps for tap, maps in parts.pairing.resized(teacher.maps).items()}
        return {"logits": teacher.logits, **maps}

    @property
    def in_pack(self) -> InPack:
        return "together" if self.stages == "one" else "never"  # stage 1 leaves the upper layers as they are

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        guided = parts.student(parts.pairing.resized(student.maps))
        distances = [squared_distance(ours, targets[f"map {tap}"]) for tap, ours in guided.items()]
        return {"hint": summed_over_taps(distances)}
