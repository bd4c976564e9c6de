"""`vid`: Variational Information Distillation (Ahn et al. 2019, arXiv 1904.05835).

    L = CE + λ · Σ_taps −log N(teacher's map; μ(student's map), σ²)

μ is a small network of 1×1 convolutions and σ² one learnt number a channel: the bound of the mutual
information of the two maps.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.distill.losses import gaussian_surprise
from harness.distill.method import InPack, Lesson, Losses, Pairing, Parts, Targets
from harness.distill.transfer import Transfer, TransferWeights, summed_over_taps
from harness.models.pairing import Taps
from harness.models.taps import Features

LEAST_VARIANCE = 1e-5


class VIDWeights(TransferWeights):
    """1 as in the published tables (Tian et al. 2020)."""

    surprise: float = Field(default=1.0, ge=0)


class VID(Transfer):
    """How surprising the teacher's maps are, given the student's."""

    name: Literal["vid"] = "vid"
    weights: VIDWeights = VIDWeights()
    taps: Taps = "all"
    first_variance: float = Field(default=5.0, gt=LEAST_VARIANCE, le=100)
    """σ² before training."""

    @property
    def tapped(self) -> Taps:
        return self.taps

    def student_part(self, pairing: Pairing) -> nn.Module:
        return nn.ModuleList(
            Guess(pairing.student[tap][0], pairing.teacher[tap][0], self.first_variance) for tap in pairing.taps
        )

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        maps = {f"map {tap}": maps for tap, maps in parts.pairing.resized(teacher.maps).items()}
        return {"logits": teacher.logits, **maps}

    @property
    def in_pack(self) -> InPack:
        return "together"

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        assert isinstance(parts.student, nn.ModuleList)
        maps = parts.pairing.resized(student.maps)
        guesses = {tap: guess(maps[tap]) for tap, guess in zip(parts.pairing.taps, parts.student, strict=True)}
        surprises = [
            gaussian_surprise(mean, targets[f"map {tap}"], variance) for tap, (mean, variance) in guesses.items()
        ]
        return {"surprise": summed_over_taps(surprises)}


class Guess(nn.Module):
    """The teacher's map as guessed from the student's: a mean, and a variance a channel."""

    def __init__(self, channels: int, goal: int, first_variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(channels, goal, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(goal, goal, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(goal, goal, 1, bias=False),
        )
        self.spread = nn.Parameter(torch.full((goal,), math.log(math.expm1(first_variance - LEAST_VARIANCE))))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, h, w) → μ (n, teacher's c, h, w) and σ² of each channel, (teacher's c,)."""
        return self.mean(maps), F.softplus(self.spread) + LEAST_VARIANCE
