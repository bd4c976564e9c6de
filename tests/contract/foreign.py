"""A network such as a user brings: a plain callable, with activations in place."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn


def small(channels: int, classes: int, width: int = 4) -> nn.Module:
    """Two convolutions; each ReLU changes what the layer before it gave."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, classes),
    )


class Forgetful(nn.Module):
    """Draws from every global generator that other people's layers know."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.3))
        self.classifier = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes); always forgets something, in eval mode too."""
        maps: Tensor = self.body(images)
        if self.training:
            maps = maps * torch.rand(()) + random.random()
        logits: Tensor = self.classifier(nn.functional.dropout(maps.mean((2, 3)), 0.2))
        return logits


def forgetful(channels: int, classes: int) -> nn.Module:
    """A network with dropout, some of which its author forgot to switch off."""
    return Forgetful(channels, classes)


def frozen(channels: int, classes: int) -> nn.Module:
    """A network whose weights are all kept as they are."""
    return small(channels, classes).requires_grad_(False)


def weightless(channels: int, classes: int) -> nn.Module:
    """A network without weights."""
    return nn.Sequential(nn.AdaptiveAvgPool2d((1, classes)), nn.Flatten(), nn.AdaptiveAvgPool1d(classes))
