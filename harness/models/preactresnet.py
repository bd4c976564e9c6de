"""Pre-activation ResNets for small images (He et al. 2016, arXiv 1603.05027): three stages of bottlenecks.

The residual stream is never normalised and no ReLU ends a stage: its taps are the raw stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture, blocks_a_stage
from harness.models.layers import Pointwise, he_initialised


class PreActResNet(Architecture):
    """A pre-activation ResNet, stages of `width` times 4, 8 and 16 channels (He et al. 2016, arXiv 1603.05027)."""

    name: Literal["preactresnet"] = "preactresnet"
    depth: int = Field(ge=11, le=1199)
    """9n + 2; the paper has 164 and 1001."""
    width: int = Field(default=16, ge=1, le=1024)
    """Channels of the stem and of the first stage's 3×3 convolutions."""
    stem_stride: Literal[1, 2] = 1

    @field_validator("depth")
    @classmethod
    def _has_whole_blocks(cls, depth: int) -> int:
        blocks_a_stage(depth, 9, 2)
        return depth

    @property
    def label(self) -> str:
        return f"preactresnet{self.depth}-w{self.width}{'' if self.stem_stride == 1 else '-s2'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        blocks, width = blocks_a_stage(self.depth, 9, 2), self.width
        stages = [
            _stage(width, width, 1, blocks),
            _stage(4 * width, 2 * width, 2, blocks),
            _stage(8 * width, 4 * width, 2, blocks),
        ]
        stem = nn.Conv2d(channels, width, 3, stride=self.stem_stride, padding=1, bias=False)
        return PreActivationNetwork(stem, stages, 16 * width, classes)


class PreActivationNetwork(nn.Module):
    """Stem, three stages on the raw residual stream, one last normalisation and ReLU, classifier."""

    def __init__(self, stem: nn.Conv2d, stages: Sequence[nn.Module], width: int, classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.stage1, self.stage2, self.stage3 = stages
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        stream = self.stage3(self.stage2(self.stage1(self.stem(images))))
        logits: Tensor = self.classifier(F.relu(self.norm(stream)).mean(dim=(2, 3)))
        return logits


class PreActivationBottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, each behind its own normalisation and ReLU, added to the stream."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.projection = projection(channels, 4 * width, stride)

    def forward(self, stream: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, 4 · width, h / stride, w / stride)."""
        active = F.relu(self.norm1(stream))
        inner = self.conv2(F.relu(self.norm2(self.conv1(active))))
        added: Tensor = self.conv3(F.relu(self.norm3(inner)))
        return added + (self.projection(active) if self.projection else stream)


def projection(channels: int, width: int, stride: int) -> Pointwise | None:
    """The 1×1 convolution of the activated stream where a block changes its shape; None where it does not."""
    if stride == 1 and channels == width:
        return None
    return Pointwise(channels, width, stride)


def _stage(channels: int, width: int, stride: int, blocks: int) -> nn.Sequential:
    first = PreActivationBottleneck(channels, width, stride)
    return nn.Sequential(first, *(PreActivationBottleneck(4 * width, width, 1) for _ in range(blocks - 1)))
