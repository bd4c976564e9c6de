"""VGG with batch normalisation (Simonyan & Zisserman 2015, arXiv 1409.1556), cut down to small images.

Five stages of 3×3 convolutions and one linear layer, as in the tables of the distillation literature. The map
is halved between the stages while it is larger than one position, and before the fifth only while it is
larger than 4×4: images of 32 pixels end at 4×4, as in those tables.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.architecture import Architecture
from harness.models.layers import he_initialised

CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Depth → convolutions a stage. The depth counts three linear layers, of which only one is left here."""


class VGG(Architecture):
    """VGG with BN, stages of `width` times 1, 2, 4, 8 and 8 channels (Simonyan & Zisserman 2015, arXiv 1409.1556)."""

    name: Literal["vgg"] = "vgg"
    depth: Literal[8, 11, 13, 16, 19]
    width: int = Field(default=64, ge=1, le=1024)
    stem_stride: Literal[1, 2] = 1

    @property
    def label(self) -> str:
        return f"vgg{self.depth}-w{self.width}{'' if self.stem_stride == 1 else '-s2'}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "stage1", "stage2", "stage3", "stage4", "stage5"

    @property
    def is_image_wise(self) -> bool:
        return True

    def build(self, channels: int, classes: int) -> nn.Module:
        return VGGNetwork(self, channels, classes)


class VGGNetwork(nn.Module):
    """Five stages with maximum pooling between them, mean over positions, classifier."""

    def __init__(self, spec: VGG, channels: int, classes: int) -> None:
        super().__init__()
        count, width = CONVOLUTIONS[spec.depth], spec.width
        self.stage1 = _stage(channels, width, count[0], spec.stem_stride)
        self.stage2 = _stage(width, 2 * width, count[1])
        self.stage3 = _stage(2 * width, 4 * width, count[2])
        self.stage4 = _stage(4 * width, 8 * width, count[3])
        self.stage5 = _stage(8 * width, 8 * width, count[4])
        self.classifier = nn.Linear(8 * width, classes)
        he_initialised(self)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        features = _halved(self.stage1(images))
        features = _halved(self.stage2(features))
        features = _halved(self.stage3(features))
        features = self.stage5(_halved(self.stage4(features), above=4))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


def _halved(features: Tensor, above: int = 1) -> Tensor:
    """The maximum of each 2×2, for a map of more than `above` positions in height and width."""
    return F.max_pool2d(features, 2) if min(features.shape[2:]) > above else features


def _stage(channels: int, width: int, count: int, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(count):
        first = index == 0
        conv = nn.Conv2d(channels if first else width, width, 3, stride=stride if first else 1, padding=1)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers)
