"""A third party's package: a method, a network and a data set, announced by the entry points beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from harness.data.dataset import Count, Dataset, Images, Shift
from harness.distill.losses import cross_entropy
from harness.distill.method import Lesson, Losses, Method, Parts, Targets
from harness.models.architecture import Architecture
from harness.models.taps import Features


class SoftL1(Method):
    """Cross-entropy and the absolute distance of softened probabilities."""

    name: Literal["soft_l1"] = "soft_l1"
    temperature: float = Field(default=2.0, gt=0)
    weight: float = Field(default=1.0, ge=0)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"cross_entropy": 1.0, "distance": self.weight}

    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        ours, theirs = ((logits / self.temperature).softmax(1) for logits in (student.logits, targets["logits"]))
        return {"cross_entropy": cross_entropy(student.logits, lesson.labels), "distance": (ours - theirs).abs().sum(1)}


class Plain(Architecture):
    """Two convolutions and a linear layer."""

    name: Literal["plain"] = "plain"
    width: int = Field(default=4, ge=1)

    @property
    def label(self) -> str:
        return f"plain-w{self.width}"

    @property
    def taps(self) -> tuple[str, ...]:
        return "first", "second"

    def build(self, channels: int, classes: int) -> nn.Module:
        return PlainNetwork(self.width, channels, classes)


class PlainNetwork(nn.Module):
    """Convolution, strided convolution, mean over positions, classifier."""

    def __init__(self, width: int, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.second(self.first(images).relu()).relu()
        logits: Tensor = self.classifier(maps.mean(dim=(2, 3)))
        return logits


class Bars(Dataset):
    """Noisy bars of 8×8 pixels, lying or standing."""

    name: Literal["bars"] = "bars"
    validation: Count = 40
    shift: Shift = 1
    flip: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 8, 8

    @property
    def classes(self) -> int:
        return 2

    @property
    def pool(self) -> int:
        return 120

    def training_images(self, root: Path) -> Images:
        return _bars(self.pool, seed=0)

    def test_images(self, root: Path) -> Images:
        return _bars(60, seed=1)


def _bars(count: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (count, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(pixels, labels, strict=True):
        place = rng.integers(0, 8)
        image[0, place if label == 0 else slice(None), place if label else slice(None)] = 255
    return Images(pixels, labels.astype(np.int64))
