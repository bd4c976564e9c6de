"""ShuffleNet (Zhang et al. 2018, arXiv 1707.01083) with three groups, cut down to small images.

The paper's strided stem and its pooling become one 1×1 convolution, as in the tables of the distillation
literature; a `stem_stride` of 2 brings the paper's 3×3 stem back.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture
from harness.models.layers import conv_norm, he_initialised, shuffled

STEM, GROUPS = 24, 3
UNITS = (4, 8, 4)


class ShuffleNetV1(Architecture):
    """ShuffleNet of three groups, stages of `width` times 1, 2 and 4 channels (Zhang et al. 2018, arXiv 1707.01083)."""

    name: Literal["shufflenetv1"] = "shufflenetv1"
    width: int = Field(default=240, ge=36, le=3600, multiple_of=12)
    """A multiple of 12, so that the groups of the inner layers are whole; the paper's 0.25×, 0.5×, 1×, 1.5× and 2×
    are 60, 120, 240, 360 and 480."""
    stem_stride: Literal[1, 2] = 1

    @property
    def label(self) -> str:
        return f"shufflenetv1-w{self.width}{'' if self.stem_stride == 1 else '-s2'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        return ShuffleNetV1Network(self, channels, classes)


class ShuffleNetV1Network(nn.Module):
    """Stem, three stages, mean over positions, classifier."""

    def __init__(self, spec: ShuffleNetV1, channels: int, classes: int) -> None:
        super().__init__()
        width = spec.width
        self.stem = conv_norm(channels, STEM, 1 if spec.stem_stride == 1 else 3, spec.stem_stride)
        self.stage1 = _stage(STEM, width, UNITS[0], first_groups=1)  # 24 channels are too few to be grouped
        self.stage2 = _stage(width, 2 * width, UNITS[1])
        self.stage3 = _stage(2 * width, 4 * width, UNITS[2])
        self.classifier = nn.Linear(4 * width, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        features = self.stage3(self.stage2(self.stage1(F.relu(self.stem(images)))))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class ShuffleUnit(nn.Module):
    """Grouped 1×1, shuffle, 3×3 channel by channel, grouped 1×1; added to the input, or beside its halved mean."""

    def __init__(self, channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        added = width - channels if stride == 2 else width
        inner = added // 4
        self.stride, self.groups = stride, groups
        self.squeeze = conv_norm(channels, inner, 1, groups=groups)
        self.filter = conv_norm(inner, inner, 3, stride, groups=inner)
        self.expand = conv_norm(inner, added, 1, groups=GROUPS)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        inner = shuffled(F.relu(self.squeeze(features)), self.groups)
        added = self.expand(self.filter(inner))
        if self.stride == 1:
            return F.relu(features + added)
        return F.relu(torch.cat((added, F.avg_pool2d(features, 3, stride=2, padding=1)), dim=1))


def _stage(channels: int, width: int, units: int, first_groups: int = GROUPS) -> nn.Sequential:
    first = ShuffleUnit(channels, width, 2, first_groups)
    return nn.Sequential(first, *(ShuffleUnit(width, width, 1, GROUPS) for _ in range(units - 1)))
