"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), cut down to small images as the distillation tables have it.

Inverted residuals in four stages, one for each size of map. Of the paper's strides, that of the 24 channels
is left out. Where the paper drops the first convolution of a block that does not expand, the tables keep it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture
from harness.models.layers import conv_norm, he_initialised

STAGES = (
    ((16, 1, 1), (24, 2, 1)),
    ((32, 3, 2),),
    ((64, 4, 2), (96, 3, 1)),
    ((160, 3, 2), (320, 1, 1)),
)
"""The rows of the paper's table 2, by stage: channels, blocks, and the stride of the first."""
STEM, LAST = 32, 1280


class MobileNetV2(Architecture):
    """MobileNetV2 with `width` times the paper's channels (Sandler et al. 2018, arXiv 1801.04381)."""

    name: Literal["mobilenetv2"] = "mobilenetv2"
    width: float = Field(default=0.5, ge=0.0625, le=8)
    """The paper's multiplier; as there, it widens the last convolution only above 1."""
    expansion: int = Field(default=6, ge=1, le=16)
    """How many times the inside of a block is wider than what enters it; the first block never expands."""
    stem_stride: Literal[1, 2] = 2

    @property
    def label(self) -> str:
        expansion = "" if self.expansion == 6 else f"-t{self.expansion}"
        return f"mobilenetv2-{self.width:g}x{expansion}{'' if self.stem_stride == 2 else '-s1'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3", "stage4"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        return MobileNetV2Network(self, channels, classes)


class MobileNetV2Network(nn.Module):
    """Stem, four stages, a last 1×1 convolution, mean over positions, classifier."""

    def __init__(self, spec: MobileNetV2, channels: int, classes: int) -> None:
        super().__init__()
        entering, last = int(STEM * spec.width), int(LAST * max(1.0, spec.width))
        self.stem = conv_norm(channels, entering, 3, spec.stem_stride)
        stages: list[nn.Module] = []
        for rows in STAGES:
            blocks: list[nn.Module] = []
            for row, blocks_of_row, stride in rows:
                for index in range(blocks_of_row):
                    expansion = spec.expansion if stages or blocks else 1
                    width = int(row * spec.width)
                    blocks.append(InvertedResidual(entering, width, stride if index == 0 else 1, expansion))
                    entering = width
            stages.append(nn.Sequential(*blocks))
        self.stage1, self.stage2, self.stage3, self.stage4 = stages
        self.last = conv_norm(entering, last, 1)
        self.classifier = nn.Linear(last, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        features = self.stage2(self.stage1(F.relu6(self.stem(images))))
        features = self.stage4(self.stage3(features))
        logits: Tensor = self.classifier(F.relu6(self.last(features)).mean(dim=(2, 3)))
        return logits


class InvertedResidual(nn.Module):
    """Expanded by a 1×1 convolution, filtered channel by channel, and projected without a ReLU."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = conv_norm(channels, inner, 1)
        self.filter = conv_norm(inner, inner, 3, stride, groups=inner)
        self.project = conv_norm(inner, width, 1)
        self.is_residual = stride == 1 and channels == width

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        inner = F.relu6(self.filter(F.relu6(self.expand(features))))
        projected: Tensor = self.project(inner)
        return features + projected if self.is_residual else projected
