"""What a network family is: settings that build a network, name it, and name its taps."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from harness.spec import Spec


class Architecture(Spec, ABC):
    """The settings of one network; spec and network of a family share a file."""

    name: str

    @property
    @abstractmethod
    def label(self) -> str:
        """How tables call it, such as `resnet20-w16`."""

    @property
    @abstractmethod
    def taps(self) -> tuple[str, ...]:
        """Module paths at the ends of the stages, shallow to deep."""

    @property
    def classifier(self) -> str:
        """Module path of the last linear layer, whose input is the embedding; empty where there is none."""
        return "classifier"

    @abstractmethod
    def build(self, channels: int, classes: int) -> nn.Module:
        """A fresh network: images (n, channels, h, w) → logits (n, classes). Downloads nothing."""

    @property
    def is_image_wise(self) -> bool:
        """Whether its code treats every image by itself, apart from its layers: only then may a pack stack it."""
        return False

    @property
    def is_pretrained(self) -> bool:
        """Whether `load_pretrained` has weights for it."""
        return False

    def is_trained_for(self, classes: int) -> bool:
        """Whether these weights are a classifier of so many classes, with nothing left to train."""
        return False

    def load_pretrained(self, network: nn.Module) -> nn.Module:
        """The same network, fresh from `build`, with its pretrained weights where it has any.

        Raises `MissingError` where they are not on this machine and cannot be downloaded.
        """
        return network


def blocks_a_stage(depth: int, layers: int, beside: int) -> int:
    """How many blocks each of three stages has in a network of layers · n + beside; raises `ValueError` for a part."""
    blocks, rest = divmod(depth - beside, layers)
    if rest or not blocks:
        below = max(1, blocks) * layers + beside
        raise ValueError(f"depth must be {layers}n + {beside}; the nearest are {below} and {below + layers}")
    return blocks
