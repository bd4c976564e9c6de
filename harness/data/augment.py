"""Augmentation as batched gathers: an image's view is its shift and whether it is mirrored.

There are only (2·shift + 1)²·(1 + flip) views of an image (9 for digits, 162 for CIFAR), and a view
is named by its numbers, never by the loader's order: what a frozen teacher says of one can be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Views:
    """The views of a batch: `dy`, `dx` in 0…2·shift (shift means unmoved) and `mirrored`, each (n,)."""

    dy: Tensor
    dx: Tensor
    mirrored: Tensor

    def __getitem__(self, part: slice) -> Views:
        return Views(self.dy[part], self.dx[part], self.mirrored[part])

    def each(self, change: Callable[[Tensor], Tensor]) -> Views:
        """The same views with every tensor changed alike."""
        return Views(change(self.dy), change(self.dx), change(self.mirrored))

    @classmethod
    def stacked(cls, members: Sequence[Views]) -> Views:
        """Several epochs' views, (members, n)."""
        rows = ((one.dy, one.dx, one.mirrored) for one in members)
        return cls(*(torch.stack(same) for same in zip(*rows, strict=True)))


def random_views(count: int, shift: int, flip: bool, generator: torch.Generator) -> Views:
    """Views drawn uniformly, on the CPU."""
    dy, dx = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
    mirrored = torch.randint(0, 2, (count,), generator=generator).bool() & flip
    return Views(dy, dx, mirrored)


def padded(pixels: Tensor, shift: int) -> Tensor:
    """Images (n, c, h, w) with a border of `shift` zeros, from which views are cut."""
    return F.pad(pixels, (shift, shift, shift, shift))


def seen(bordered: Tensor, indices: Tensor, views: Views, shift: int) -> Tensor:
    """The views of some padded images: (n, c, h + 2s, w + 2s) → (batch, c, h, w), type kept."""
    height, width = bordered.shape[2] - 2 * shift, bordered.shape[3] - 2 * shift
    rows = views.dy[:, None] + torch.arange(height, device=bordered.device)
    columns = torch.arange(width, device=bordered.device).expand(len(indices), width)
    columns = views.dx[:, None] + torch.where(views.mirrored[:, None], width - 1 - columns, columns)
    return bordered[indices[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
