"""Taps: the activations at named points of a network, read without touching its code."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Features:
    """What a network says of a batch: logits (n, classes) and, by tap, maps (n, c, h, w)."""

    logits: Tensor
    maps: dict[str, Tensor]


class Tapped:
    """A network whose forward pass also gives the output of the modules at some paths.

    Raises `ValueError` with the list of paths for a tap that the network does not have.
    """

    def __init__(self, network: nn.Module, taps: Sequence[str]) -> None:
        modules = dict(network.named_modules())
        unknown = [tap for tap in taps if tap not in modules]
        if unknown:
            raise ValueError(f"no tap {unknown[0]!r} in this network; it has {', '.join(filter(None, modules))}")
        self.network = network
        self._modules = {tap: modules[tap] for tap in taps}

    def __call__(self, images: Tensor) -> Features:
        """Images (n, c, h, w) → `Features`; the network carries its hooks only for this pass."""
        maps: dict[str, Tensor] = {}

        def keep(tap: str, module: nn.Module, inputs: object, output: Tensor) -> None:
            maps[tap] = output

        hooks = [module.register_forward_hook(partial(keep, tap)) for tap, module in self._modules.items()]
        try:
            return Features(self.network(images), maps)
        finally:
            for hook in hooks:
                hook.remove()


def tap_shapes(network: nn.Module, taps: Sequence[str], image: Shape) -> dict[str, Shape]:
    """Channels, height and width at each tap for images of a shape, found without arithmetic."""
    ghost = deepcopy(network).to("meta").eval()
    with torch.no_grad():
        maps = Tapped(ghost, taps)(torch.empty(2, *image, device="meta")).maps
    return {tap: (maps[tap].shape[1], maps[tap].shape[2], maps[tap].shape[3]) for tap in taps}
