"""ShuffleNet V2 (Ma et al. 2018, arXiv 1807.11164), cut down to small images.

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

STEM = 24
UNITS = (4, 8, 4)


class ShuffleNetV2(Architecture):
    """ShuffleNet V2 with stages of `width` times 1, 2 and 4 channels (Ma et al. 2018, arXiv 1807.11164)."""

    name: Literal["shufflenetv2"] = "shufflenetv2"
    width: int = Field(default=116, ge=2, le=2048, multiple_of=2)
    """Even, since a unit works on half of it; the paper's 0.5×, 1×, 1.5× and 2× are 48, 116, 176 and 244."""
    last_width: int = Field(default=1024, ge=1, le=8192)
    """Channels of the convolution before the classifier; the paper's 2× has 2048."""
    stem_stride: Literal[1, 2] = 1

    @property
    def label(self) -> str:
        last = "" if self.last_width == 1024 else f"-last{self.last_width}"
        return f"shufflenetv2-w{self.width}{last}{'' if self.stem_stride == 1 else '-s2'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        return ShuffleNetV2Network(self, channels, classes)


class ShuffleNetV2Network(nn.Module):
    """Stem, three stages, a last 1×1 convolution, mean over positions, classifier."""

    def __init__(self, spec: ShuffleNetV2, channels: int, classes: int) -> None:
        super().__init__()
        width = spec.width
        self.stem = conv_norm(channels, STEM, 1 if spec.stem_stride == 1 else 3, spec.stem_stride)
        self.stage1 = _stage(STEM, width, UNITS[0])
        self.stage2 = _stage(width, 2 * width, UNITS[1])
        self.stage3 = _stage(2 * width, 4 * width, UNITS[2])
        self.last = conv_norm(4 * width, spec.last_width, 1)
        self.classifier = nn.Linear(spec.last_width, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        features = self.stage3(self.stage2(self.stage1(F.relu(self.stem(images)))))
        logits: Tensor = self.classifier(F.relu(self.last(features)).mean(dim=(2, 3)))
        return logits


class Branch(nn.Module):
    """1×1, 3×3 channel by channel, 1×1, with ReLUs behind the 1×1s."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.enter = conv_norm(channels, width, 1)
        self.filter = conv_norm(width, width, 3, stride, groups=width)
        self.leave = conv_norm(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        return F.relu(self.leave(self.filter(F.relu(self.enter(features)))))


class SplitUnit(nn.Module):
    """Half of the channels pass a branch, the other half pass by; then they are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = Branch(width // 2, width // 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, width, h, w) → the same shape."""
        passing, entering = features.chunk(2, dim=1)
        return shuffled(torch.cat((passing, self.branch(entering)), dim=1), 2)


class HalvingUnit(nn.Module):
    """All channels pass two branches that halve the map; then they are shuffled."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.branch = Branch(channels, width // 2, 2)
        self.filter = conv_norm(channels, channels, 3, 2, groups=channels)
        self.leave = conv_norm(channels, width // 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / 2, w / 2)."""
        beside = F.relu(self.leave(self.filter(features)))
        return shuffled(torch.cat((beside, self.branch(features)), dim=1), 2)


def _stage(channels: int, width: int, units: int) -> nn.Sequential:
    return nn.Sequential(HalvingUnit(channels, width), *(SplitUnit(width) for _ in range(units - 1)))
