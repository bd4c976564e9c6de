"""Batch-invariant operations: each number is rounded alike whatever stands beside it, on a CPU.

    evenly           a function of each number              neighbours that fill a register, or are left over
    member_products  rows times each member's own weights   products with a matrix, or with a vector
    at_positions     a linear layer at every position       rows that begin where a register does, or elsewhere
    composed         a product of weight matrices           those of several columns, or of one
    squared_norms    a sum of squares for each row          sums that are split over threads, or not

The third column is what a processor's libraries round in two ways. Stacked networks and their losses are made of these,
so that a member's numbers do not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.models.batch_last import convolved

LANES = 8
"""Numbers that a library's products take at once: by what is left over they round otherwise."""
REGISTER = 32
"""Numbers that torch takes at once: two of a processor's widest registers."""
ROW = 64
"""A row of weights is filled up with zeros to a multiple of so many: a processor rounds the last elements of an
operation, which do not fill its registers, differently from all others, and which those are depends on the stack."""


def member_products(rows: Tensor, weight: Tensor) -> Tensor:
    """Each member's rows times its own weight: (N, rows, d), (N, d', d) → (N, rows, d')."""
    width, entering = weight.shape[1:]
    if min(width, entering) > 1:
        product: Tensor = _MemberProducts.apply(rows.contiguous(), weight)
        return product
    # Products with a vector, whose sums would depend on the stack: zeros fill it up.
    missing = [LANES - 1 if size == 1 else 0 for size in (entering, width)]
    filled = F.pad(weight, (0, missing[0], 0, missing[1]))
    return member_products(F.pad(rows, (0, missing[0])), filled)[..., :width].contiguous()


class _MemberProducts(torch.autograd.Function):
    """Gives the weights' gradient as weights lie; torch's own would be turned, and copied."""

    @staticmethod
    def forward(ctx, rows: Tensor, weight: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(rows, weight)
        return torch.bmm(rows, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        rows, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_rows = torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(gradient.transpose(1, 2), rows) if ctx.needs_input_grad[1] else None
        return of_rows, of_weight


def at_positions(maps: Tensor, weight: Tensor) -> Tensor:
    """A linear layer at every position: maps (n, c, h, w), weight (c', c), or (N, c', c) in a stack → (n, c', h, w).

    Where the maps are the larger, a product an image reads and writes them as they lie; where the weight is, positions
    are rows of one product.
    """
    if weight.dim() == 3 and maps.device.type == "cpu":
        return convolved(maps, weight[..., None, None])
    if weight.dim() == 3:
        return _at_positions_of_members(maps, weight)
    flat = maps.flatten(2)
    positions, (width, channels) = flat.shape[2], weight.shape
    if positions * (width + channels) < width * channels:
        product = F.linear(flat.transpose(1, 2).reshape(-1, channels), weight)
        found = product.view(-1, positions, width).transpose(1, 2).contiguous()
    else:
        # Where an image's maps do not begin where a register does, they are rounded by where they begin.
        filled = F.pad(flat, (0, -positions % LANES)) if positions % LANES else flat
        found = torch.bmm(weight.expand(len(flat), -1, -1), filled)[..., :positions]
    return found.view(len(maps), width, *maps.shape[2:])


def _at_positions_of_members(maps: Tensor, weight: Tensor) -> Tensor:
    """The same of a stack, elsewhere than on a CPU."""
    rows = maps.movedim(1, 3).reshape(len(weight), -1, maps.shape[1])
    product = member_products(rows, weight)
    return product.view(len(maps), *maps.shape[2:], -1).movedim(3, 1).contiguous()


def squared_norms(rows: Tensor) -> Tensor:
    """Each row's sum of squares, (N, a multiple of `ROW`) → (N,); a sum to one number would be split over threads."""
    return rows.square().view(len(rows), -1, ROW).sum(dim=1).sum(dim=1)


def composed(outer: Tensor, inner: Tensor) -> Tensor:
    """The weight of two linear layers as one: (…, c'', c'), (…, c', c) → (…, c'', c)."""
    if inner.shape[-1] > 1:
        return outer @ inner
    return (outer @ F.pad(inner, (0, LANES - 1)))[..., :1].contiguous()


def evenly(function: Callable[[Tensor], Tensor], numbers: Tensor) -> Tensor:
    """A function of each number by the same code for every one: a processor takes neighbours that fill a register at
    once, and those that are left over or lie apart by another approximation. Zeros fill them up.
    """
    flat = numbers.reshape(-1).contiguous()
    missing = -len(flat) % REGISTER
    return function(F.pad(flat, (0, missing)) if missing else flat)[: len(flat)].view(numbers.shape)
