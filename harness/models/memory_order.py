"""The order in memory of a stack's maps, (N·B, c, h, w): usual, or with the batch last, as `kernels` have it.

torch's functions keep the order of what they are given, and sums are rounded by it. So it may not depend on a member's
company: it is settled by B alone.

    settled                 the order that a layer's result has
    laid_as, laid_usually   the same numbers in another order, and their gradient in the first
    summed_over_positions   a sum that keeps to the order, both ways
    of_members              some members, in the order of all
"""

from __future__ import annotations

import torch
from torch import Tensor

WHOLE = 64
"""So many images of a member fill every register: torch takes no more columns at once."""


def settled(features: Tensor, members: int) -> Tensor:
    """With the batch last, where the sums that torch takes over pixels see whole registers of one member's images; else
    in the usual order.
    """
    return features.contiguous() if len(features) // members % WHOLE else features


def laid_as(tensor: Tensor, like: Tensor) -> Tensor:
    """In the order of memory that `like` has, so that torch works out in it what comes of both."""
    relaid: Tensor = _Relaid.apply(tensor, True) if _is_last(like) else tensor
    return relaid


def laid_usually(tensor: Tensor) -> Tensor:
    """In torch's usual order, so that what comes of it is; its gradient returns to the order that it was in."""
    relaid: Tensor = _Relaid.apply(tensor, False) if _is_last(tensor) else tensor
    return relaid


def summed_over_positions(maps: Tensor) -> Tensor:
    """(n, c, h, w) → (n, c), and back in the order of memory that the maps have."""
    if not _is_last(maps):
        return maps.sum(dim=(2, 3))
    return laid_usually(maps.movedim(0, -1).sum(dim=(1, 2)).T)


def of_members(tensor: Tensor, members: int, places: Tensor) -> Tensor:
    """The images of some of a stack's members, in the order of memory that all of them have."""
    if not _is_last(tensor):
        usual: Tensor = tensor.unflatten(0, (members, -1))
        return usual.index_select(0, places).flatten(0, 1)
    last: Tensor = tensor.movedim(0, -1).unflatten(-1, (members, -1))
    return last.index_select(-2, places).flatten(-2).movedim(-1, 0)


class _Relaid(torch.autograd.Function):
    """The same numbers with the batch last in memory, or first."""

    @staticmethod
    def forward(ctx, tensor: Tensor, is_last: bool) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.is_last = is_last
        return _in_order(tensor, is_last)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        return _in_order(gradient, not ctx.is_last), None


def _in_order(tensor: Tensor, is_last: bool) -> Tensor:
    return tensor.movedim(0, -1).contiguous().movedim(-1, 0) if is_last else tensor.contiguous()


def _is_last(tensor: Tensor) -> bool:
    """Of a stack's settled maps this depends on their shape and B, and not on N."""
    return tensor.stride(0) == 1 and not tensor.is_contiguous()
