"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv 1605.07146): pre-activation basic blocks, depth 6n + 4."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture, blocks_a_stage
from harness.models.preactresnet import PreActivationNetwork, projection


class WRN(Architecture):
    """A wide residual network, WRN-`depth`-`widen` (Zagoruyko & Komodakis 2016, arXiv 1605.07146)."""

    name: Literal["wrn"] = "wrn"
    depth: int = Field(ge=10, le=1198)
    widen: int = Field(default=1, ge=1, le=64)
    """The second number of WRN-40-2."""
    width: int = Field(default=16, ge=1, le=1024)
    """Channels of the stem; the stages have `widen` · `width` times 1, 2 and 4."""
    stem_stride: Literal[1, 2] = 1

    @field_validator("depth")
    @classmethod
    def _has_whole_blocks(cls, depth: int) -> int:
        blocks_a_stage(depth, 6, 4)
        return depth

    @property
    def label(self) -> str:
        width = "" if self.width == 16 else f"-w{self.width}"
        return f"wrn{self.depth}-{self.widen}{width}{'' if self.stem_stride == 1 else '-s2'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        blocks, width = blocks_a_stage(self.depth, 6, 4), self.widen * self.width
        stages = [
            _stage(self.width, width, 1, blocks),
            _stage(width, 2 * width, 2, blocks),
            _stage(2 * width, 4 * width, 2, blocks),
        ]
        stem = nn.Conv2d(channels, self.width, 3, stride=self.stem_stride, padding=1, bias=False)
        return PreActivationNetwork(stem, stages, 4 * width, classes)


class PreActivationBlock(nn.Module):
    """Two 3×3 convolutions, each behind its own normalisation and ReLU, added to the stream."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.projection = projection(channels, width, stride)

    def forward(self, stream: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        active = F.relu(self.norm1(stream))
        added: Tensor = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return added + (self.projection(active) if self.projection else stream)


def _stage(channels: int, width: int, stride: int, blocks: int) -> nn.Sequential:
    first = PreActivationBlock(channels, width, stride)
    return nn.Sequential(first, *(PreActivationBlock(width, width, 1) for _ in range(blocks - 1)))
