"""The order in which a network's numbers lie in memory, on which its speed and its rounding depend."""

from __future__ import annotations

import torch
from torch import nn

BLOCK = 16
"""Channels that oneDNN's convolutions take at a time with AVX-512; 8 with AVX2."""


def memory_format(network: nn.Module, channels_last: bool, device: torch.device) -> torch.memory_format:
    """The layout that is asked for, but where channels_last would damage the process' memory.

    The gradient of a strided 1×1 convolution of fewer channels than oneDNN's block writes past its workspace there
    (oneDNN issue 6035; seen with torch 2.15): a crash, or wrong weights. Families of this package have no such layer.
    """
    if not channels_last or (device.type == "cpu" and any(map(_is_narrow_and_strided, network.modules()))):
        return torch.contiguous_format
    return torch.channels_last


def _is_narrow_and_strided(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels // module.groups < BLOCK
    )
