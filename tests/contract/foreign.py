"""A network such as a user brings: a plain callable, with activations in place."""

from __future__ import annotations

from torch import nn


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
