"""Cost: what a network weighs, known exactly before any training, and what a trial will take, guessed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.models.architecture import Architecture


@dataclass(frozen=True)
class Size:
    """Parameters, and multiply-adds of one image's forward pass (convolutions and products)."""

    params: int
    macs: int


def size(network: Architecture, image: tuple[int, int, int], classes: int) -> Size:
    """The size of a network for images of (channels, height, width), counted without allocating it."""
    return _counted(type(network), network.model_dump_json(), image, classes)


@cache  # 40 ms for a ResNet-8, and every record of a study asks for one of a few
def _counted(family: type[Architecture], settings: str, image: tuple[int, int, int], classes: int) -> Size:
    network = family.model_validate_json(settings)
    with torch.device("meta"), torch.no_grad():
        ghost = network.build(image[0], classes).eval()
        with FlopCounterMode(display=False) as counter:
            ghost(torch.empty(1, *image))
    return Size(sum(parameter.numel() for parameter in ghost.parameters()), counter.get_total_flops() // 2)
