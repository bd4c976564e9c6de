"""Attention estimators: squeeze each tap's map into one vector, steered by a global descriptor.

    last tap ─ 1×1 conv ─ mean over positions ─► g                        global descriptor
    tap i ─ (student: 1×1 conv to the teacher's channels) ─► L            local features
    L + conv(g) ─► L̂ ─ conv to C/r, ReLU, conv to 1, softmax over positions ─► M
    v = Σ over positions of M · L̂                                         squeezed descriptor

Shu et al. 2019 (arXiv 1904.05100), after Jetley et al. 2018 (arXiv 1804.02391). What the paper leaves
open is a field of `Attention`. g serves the estimators alone: the student's classifier stays what its
family makes it, so that its size is the same under every method.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.distill.losses import cross_entropy
from harness.distill.method import CollapsedError, Pairing, Pretraining, TeacherPart
from harness.models.batch_invariant import at_positions, composed
from harness.models.memory_order import laid_as, laid_usually, summed_over_positions
from harness.models.pairing import Taps
from harness.models.taps import Features, Shape
from harness.spec import Spec

FORM = 4
"""Counted up where the same settings come to other numbers: what was kept of the teacher before is not taken up."""


class Attention(Spec):
    """The estimators' settings, the same for student and teacher."""

    taps: Taps = "all"
    """The supervised taps, one estimator each; the deepest also gives the global descriptor."""
    reduction: int = Field(default=2, ge=1, le=64)
    """The attention reduction ratio r: the estimator's hidden width is C / r, at least 1."""
    global_width: int = Field(default=128, ge=1, le=65_536)
    """Width of the global descriptor g; 128 in the paper."""
    pooled: Literal["hatted", "plain"] = "hatted"
    """What M weighs: L̂ (the paper's equation) or L (its figure, and Jetley et al.)."""
    aggregate: Literal["sum", "mean"] = "sum"
    """M's weighted sum over positions, or the paper's mean, which is 1/(W·H) of it."""
    standardise: bool = True
    """Measure v in units of the teacher's spread, tap by tap, so that λ_is means the same for every tap."""
    pretraining: Pretraining = Pretraining()


class Estimator(nn.Module):
    """One tap's estimator: maps (n, c, h, w) and g (n, d) → squeezed descriptor (n, c')."""

    def __init__(self, channels: int, settings: Attention) -> None:
        super().__init__()
        hidden = max(1, channels // settings.reduction)
        self.steer = nn.Linear(settings.global_width, channels)
        self.hidden = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)  # a softmax would not see it
        self.settings = settings

    def attention(self, maps: Tensor, steer: Tensor, transform: nn.Linear | None) -> Tensor:
        """M (n, 1, h, w), which sums to 1; `steer` is what g adds everywhere, (n, c')."""
        # hidden(transform(x) + steer), without the transformed maps
        weight = self.hidden.weight if transform is None else composed(self.hidden.weight, transform.weight)
        hidden = F.relu(at_positions(maps, weight) + laid_as(self.hidden(steer)[..., None, None], maps))
        scores = laid_usually(at_positions(hidden, self.score.weight))
        return laid_as(scores.flatten(1).softmax(dim=1).view(scores.shape), maps)

    def forward(self, maps: Tensor, g: Tensor, transform: nn.Linear | None = None) -> Tensor:
        """The squeezed descriptor v, (n, c'), of maps in c' channels or such that `transform` brings them there."""
        steer = self.steer(g)
        attention = self.attention(maps, steer, transform)
        squeezed = summed_over_positions(maps * attention)
        # Once they are weighed, since M sums to 1: of the sum instead of everywhere.
        if transform is not None:
            squeezed = transform(squeezed)
        if self.settings.pooled == "hatted":
            squeezed = squeezed + steer
        return squeezed if self.settings.aggregate == "sum" else squeezed / attention[0].numel()


class Squeeze(nn.Module):
    """The estimators of all taps: maps → a descriptor a tap, in the teacher's channels.

    The paper's 1×1 convolutions are written as linear layers over channels, which they are.
    """

    def __init__(self, own: dict[str, Shape], goal: dict[str, Shape], settings: Attention, transform: bool) -> None:
        super().__init__()
        self.taps = tuple(own)
        self.describe = nn.Linear(own[self.taps[-1]][0], settings.global_width)
        self.transform = nn.ModuleList(nn.Linear(own[tap][0], goal[tap][0], bias=False) for tap in own if transform)
        self.estimators = nn.ModuleList(Estimator(goal[tap][0], settings) for tap in self.taps)

    def forward(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """Maps by tap, (n, c, h, w) → squeezed descriptors in the taps' order, (n, c') each."""
        g = self.describe(maps[self.taps[-1]].mean(dim=(2, 3)))  # the mean of a 1×1 convolution
        triples = zip_longest(self.taps, self.estimators, self.transform)
        return [estimator(maps[tap], g, transform) for tap, estimator, transform in triples]


class TeacherAttention(TeacherPart):
    """The teacher's estimators, with the classifier that trains them and the spread that scales them."""

    spread: Tensor

    def __init__(self, pairing: Pairing, settings: Attention) -> None:
        super().__init__()
        channels = [shape[0] for shape in pairing.teacher.values()]
        self.settings = settings
        self.squeeze = Squeeze(pairing.teacher, pairing.teacher, settings, transform=False)
        self.classify = nn.Linear(sum(channels), pairing.classes)
        self.register_buffer("spread", torch.ones(len(channels)))

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        """Maps by tap → the joined, scaled descriptors, (n, Σc)."""
        return self.scaled(self.squeeze(maps))

    def scaled(self, descriptors: list[Tensor]) -> Tensor:
        """Joins descriptors of either network in units of the teacher's spread, (n, Σc)."""
        pairs = zip(descriptors, self.spread.unbind(), strict=True)
        return torch.cat([descriptor / spread for descriptor, spread in pairs], dim=1)

    def pretraining_loss(self, teacher: Features, labels: Tensor) -> Tensor:
        return cross_entropy(self.classify(torch.cat(self.squeeze(teacher.maps), dim=1)), labels)

    def settle(self, batches: Iterable[Features]) -> None:
        """Measures each tap's spread over the training images, and refuses estimators that collapsed."""
        by_tap = zip(*(self.squeeze(batch.maps) for batch in batches), strict=True)
        for index, pieces in enumerate(by_tap):
            descriptors = torch.cat(pieces)
            spread = descriptors.std(dim=0).square().mean().sqrt()
            size = descriptors.square().mean().sqrt()
            if not spread > self.settings.pretraining.least_spread * size:
                raise CollapsedError(
                    f"the teacher's estimator at {self.squeeze.taps[index]} collapsed: over the training images "
                    f"its descriptor varies by {float(spread / size):.2g} of its size "
                    f"(least_spread {self.settings.pretraining.least_spread}); train it longer or at a lower rate"
                )
            if self.settings.standardise:
                self.spread[index] = spread
