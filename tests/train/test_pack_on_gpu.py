"""Where there is no GPU, torch's fake tensors stand for its memory: what is on another device, or waits for the GPU, shows.

A fake tensor has a device and a shape and no numbers; whatever asks for a number raises. A pack's epoch may ask once,
for the means at its end.
"""

from __future__ import annotations

from typing import Any

import torch

from harness.data.resident import ResidentSplit

CUDA = torch.device("cuda")


def on_cuda(value: Any) -> Any:
    """A value with every tensor on the GPU."""
    return value.to(CUDA)


def split_on_cuda(split: ResidentSplit) -> ResidentSplit:
    """A split on the GPU."""
    standard = type(split.standard)(on_cuda(split.standard.mean), on_cuda(split.standard.spread))
    return ResidentSplit(on_cuda(split.pixels), on_cuda(split.labels), standard)
