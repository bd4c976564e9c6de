"""`reviewkd`: Knowledge Review (Chen et al. 2021, arXiv 2104.09044).

    deepest tap ──► fusion ──► distance to the teacher's deepest map
                      │ enlarged
    tap before  ──► fusion ──► distance to the teacher's map before
                      │ …

A shallow map of the teacher is learnt from all deeper maps of the student, fused by attention, and compared
over a pyramid of sizes. The authors tap the teacher before its last ReLU; here a tap is the stage's end.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.distill.losses import pyramid_distance
from harness.distill.method import InPack, Lesson, Losses, Pairing, Parts, Targets, grown
from harness.distill.transfer import Transfer, TransferWeights, summed_over_taps
from harness.models.pairing import Taps
from harness.models.taps import Features


class ReviewKDWeights(TransferWeights):
    """On CIFAR-100 the authors have 0.6 for ResNet-56 → 20, 1 for 110 → 32, 5 for 32x4 → 8x4 and WRN, to 8."""

    review: float = Field(default=1.0, ge=0)


class ReviewKD(Transfer):
    """Maps of all stages, fused from deep to shallow."""

    name: Literal["reviewkd"] = "reviewkd"
    weights: ReviewKDWeights = ReviewKDWeights()
    taps: Taps = "all"
    width: int | None = Field(default=None, ge=1, le=65_536)
    """Channels within the fusion; by default those of the student's deepest map, 512 at most."""
    pooled: bool = True
    """Whether the deepest map's mean over positions is one level more, as the authors have it."""
    warmup: float = Field(default=1 / 12, ge=0, le=1)
    """Share of training over which the loss grows to its weight, epoch by epoch; the authors' 20 of 240 epochs."""

    @property
    def tapped(self) -> Taps:
        return self.taps

    def weights_at(self, progress: float) -> dict[str, float]:
        share = grown(progress, self.warmup)
        return {name: weight * (share if name == "review" else 1) for name, weight in self.loss_weights.items()}

    @property
    def target_settings(self) -> list[object]:
        return [self.pooled]

    def student_part(self, pairing: Pairing) -> nn.Module:
        channels = [(pairing.student[tap][0], pairing.teacher[tap][0]) for tap in reversed(pairing.taps)]
        channels = channels[:1] * self.pooled + channels
        width = self.width or min(512, channels[0][0])
        return nn.ModuleList(
            Fusion(ours, width, theirs, is_first=level == 0) for level, (ours, theirs) in enumerate(channels)
        )

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        levels = self._levels(parts.pairing.resized(teacher.maps))
        return {"logits": teacher.logits, **{f"level {number}": level for number, level in enumerate(levels)}}

    @property
    def in_pack(self) -> InPack:
        return "together"

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        assert isinstance(parts.student, nn.ModuleList)
        distances, deeper = [], None
        levels = self._levels(parts.pairing.resized(student.maps))
        for number, (fusion, level) in enumerate(zip(parts.student, levels, strict=True)):
            reviewed, deeper = fusion(level, deeper)
            distances.append(pyramid_distance(reviewed, targets[f"level {number}"]))
        return {"review": summed_over_taps(distances)}

    def _levels(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """Maps from the deepest on, its mean over positions before it if `pooled`."""
        deep_to_shallow = list(maps.values())[::-1]
        return [deep_to_shallow[0].mean(dim=(2, 3), keepdim=True)] * self.pooled + deep_to_shallow


class Fusion(nn.Module):
    """Attention-based fusion of a map with what was fused from the deeper ones."""

    def __init__(self, channels: int, width: int, goal: int, is_first: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.leave = nn.Sequential(nn.Conv2d(width, goal, 3, padding=1, bias=False), nn.BatchNorm2d(goal))
        self.attend = None if is_first else nn.Sequential(nn.Conv2d(2 * width, 2, 1), nn.Sigmoid())

    def forward(self, maps: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """The student's map (n, c, h, w) and the deeper fusion → (in the teacher's channels, fused at this level)."""
        fused: Tensor = self.enter(maps)
        if self.attend is not None and deeper is not None:
            enlarged = F.interpolate(deeper, size=fused.shape[2:], mode="nearest")
            share = self.attend(torch.cat([fused, enlarged], dim=1))
            fused = fused * share[:, :1] + enlarged * share[:, 1:]
        return self.leave(fused), fused
