"""ResNets for small images (He et al. 2016, arXiv 1512.03385, §4.2): three stages of basic blocks, depth 6n + 2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture, blocks_a_stage
from harness.models.layers import Pointwise, he_initialised


class ResNet(Architecture):
    """A CIFAR ResNet with stages of `width`, 2·`width` and 4·`width` channels (He et al. 2016, arXiv 1512.03385)."""

    name: Literal["resnet"] = "resnet"
    depth: int = Field(ge=8, le=1202)
    width: int = Field(default=16, ge=1, le=1024)
    shortcut: Literal["projection", "identity"] = "projection"
    """Where a stage changes shape: a 1×1 convolution (the published tables use it), or a subsampled,
    zero-padded identity (the paper's option A, 2,752 parameters fewer at width 16)."""
    stem_width: int | None = Field(default=None, ge=1, le=1024)
    """Channels before the first stage, where they are not `width`: the tables' resnet8x4 has 32 before 64."""
    stem_stride: Literal[1, 2] = 1

    @field_validator("depth")
    @classmethod
    def _has_whole_blocks(cls, depth: int) -> int:
        blocks_a_stage(depth, 6, 2)
        return depth

    @model_validator(mode="after")
    def _identity_only_adds_channels(self) -> ResNet:
        if self.shortcut == "identity" and (self.stem_width or 0) > self.width:
            raise ValueError(f"identity shortcuts cannot drop channels; let stem_width be {self.width} or fewer")
        return self

    @property
    def label(self) -> str:
        stem = "" if self.stem_width in (None, self.width) else f"-stem{self.stem_width}"
        stride = "" if self.stem_stride == 1 else f"-s{self.stem_stride}"
        return f"resnet{self.depth}-w{self.width}{stem}{stride}{'-id' if self.shortcut == 'identity' else ''}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        return ResNetNetwork(self, channels, classes)


class ResNetNetwork(nn.Module):
    """Stem, three stages, mean over positions, classifier."""

    def __init__(self, spec: ResNet, channels: int, classes: int) -> None:
        super().__init__()
        blocks, width = blocks_a_stage(spec.depth, 6, 2), spec.width
        stem_width = spec.stem_width or width
        self.stem = nn.Conv2d(channels, stem_width, 3, stride=spec.stem_stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(stem_width)
        self.stage1 = _stage(stem_width, width, 1, blocks, spec.shortcut)
        self.stage2 = _stage(width, 2 * width, 2, blocks, spec.shortcut)
        self.stage3 = _stage(2 * width, 4 * width, 2, blocks, spec.shortcut)
        self.classifier = nn.Linear(4 * width, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        features = F.relu(self.norm(self.stem(images)))
        features = self.stage3(self.stage2(self.stage1(features)))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, joined before the last ReLU."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = (
                Projection(channels, width, stride) if shortcut == "projection" else Subsample(width, stride)
            )

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        inner = F.relu(self.norm1(self.conv1(features)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class Projection(nn.Sequential):
    """The paper's option B: a strided 1×1 convolution with batch normalisation."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(Pointwise(channels, width, stride), nn.BatchNorm2d(width))


class Subsample(nn.Module):
    """The paper's option A: every `stride`-th position, new channels zero; no parameters."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.width, self.stride = width, stride

    def forward(self, features: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, h / stride, w / stride)."""
        kept = features[:, :, :: self.stride, :: self.stride]
        missing = self.width - kept.shape[1]
        return F.pad(kept, (0, 0, 0, 0, missing // 2, missing - missing // 2))


def _stage(channels: int, width: int, stride: int, blocks: int, shortcut: str) -> nn.Sequential:
    first = BasicBlock(channels, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width, 1, shortcut) for _ in range(blocks - 1)))
