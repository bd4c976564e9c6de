"""Batch-invariant operations: each number is rounded alike whatever stands beside it, on a CPU.

    evenly          a function of each number              neighbours that fill a register, or are left over
    summed          a sum over the first dimension         columns that fill registers, or are left over
    MemberProducts  rows times each member's own weights   rows that begin where a register does, or elsewhere
    at_positions    a linear layer at every position       the same
    composed        a product of weight matrices           those of several columns, or of one

The third column is what a processor's libraries round in two ways. Stacked networks and their losses are made of these,
so that a member's numbers do not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

LANES = 8
"""Channels that grouped convolutions take at once on a CPU: other counts run several times slower, and round
differently in stacks of different size."""
REGISTER = 32
"""Numbers that torch takes at once: two of a processor's widest registers."""
ROW = 64
"""A row of weights is filled up with zeros to a multiple of so many: a processor rounds the last elements of an
operation, which do not fill its registers, differently from all others, and which those are depends on the stack."""


class MemberProducts(torch.autograd.Function):
    """Each member's rows times its own weights, where members lie side by side in a row.

    A library of products reads and writes such rows where they are, if each member's part begins where a register
    does; it rounds differently where it does not, and then the parts are copied to where it does.
    """

    @staticmethod
    def forward(ctx, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[no-untyped-def]
        """(rows, N, d), (N, d', d), (N, d') → (rows, N, d')."""
        ctx.save_for_backward(rows, weight)
        product = _member_products(rows, weight.transpose(1, 2))
        return product if bias is None else product.add_(bias)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        rows, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_rows = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_rows = _member_products(gradient, weight)
        if ctx.needs_input_grad[1]:
            own = _by_member(gradient)
            of_weight = _weight_gradients(own, _by_member(rows))
        if ctx.needs_input_grad[2]:
            of_bias = summed(gradient)
        return of_rows, of_weight, of_bias


def at_positions(maps: Tensor, weight: Tensor) -> Tensor:
    """A linear layer at every position: maps (n, c, positions), its weight (c', c), or (N, c', c) in a stack → (n, c',
    positions). Where the maps are the larger, a product an image reads and writes them as they lie; where the weight
    is, positions are rows of one product.
    """
    positions, (width, channels) = maps.shape[2], weight.shape[-2:]
    if positions * (width + channels) < width * channels:
        rows = maps.permute(2, 0, 1).reshape(-1, channels)
        product = F.linear(rows, weight) if weight.dim() == 2 else _rows_of_members(rows, weight)
        return product.view(positions, -1, width).permute(1, 2, 0).contiguous()
    # Where an image's maps do not begin where a register does, they are rounded by where they begin.
    filled = F.pad(maps, (0, -positions % LANES)) if positions % LANES else maps
    if weight.dim() == 2:
        each = weight.expand(len(maps), -1, -1)
    else:
        each = Repeated.apply(weight, len(maps) // len(weight)).flatten(0, 1)
    return torch.bmm(each, filled)[..., :positions]


def composed(outer: Tensor, inner: Tensor) -> Tensor:
    """The weight of two linear layers as one: (…, c'', c'), (…, c', c) → (…, c'', c)."""
    if inner.shape[-1] > 1:
        return outer @ inner
    return (outer @ F.pad(inner, (0, LANES - 1)))[..., :1].contiguous()


def _rows_of_members(rows: Tensor, weight: Tensor) -> Tensor:
    """(rows·N, d), (N, d', d) → (rows·N, d')."""
    product: Tensor = MemberProducts.apply(rows.view(-1, len(weight), rows.shape[1]), weight, None)
    return product.flatten(0, 1)


class Repeated(torch.autograd.Function):
    """So many times the same; its gradient is the sum of theirs, by `summed`."""

    @staticmethod
    def forward(ctx, tensor: Tensor, times: int) -> Tensor:  # type: ignore[no-untyped-def]
        """(…) → (times, …)."""
        return tensor.expand(times, *tensor.shape)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        return summed(gradient), None


def summed(rows: Tensor) -> Tensor:
    """The sum over the first dimension, added up in the same order for every column, whatever stands beside it.

    A processor adds up many columns at once, and those that are left over in another order: zeros fill them up.
    """
    columns = rows.flatten(1)
    count = columns.shape[1]
    filled = F.pad(columns, (0, -count % ROW)) if count % ROW else columns
    return filled.sum(dim=0)[:count].view(rows.shape[1:])


def _member_products(rows: Tensor, matrices: Tensor) -> Tensor:
    """(rows, N, d), (N, d, d') → (rows, N, d')."""
    count, members, _ = rows.shape
    width = matrices.shape[2]
    if width == 1:  # a product with a vector, whose sums would depend on the stack; zeros fill it up
        return _member_products(rows, F.pad(matrices, (0, LANES - 1)))[..., :1].contiguous()
    if width % LANES:
        return torch.bmm(_by_member(rows), matrices).transpose(0, 1).contiguous()
    product = rows.new_empty(count, members, width)
    torch.bmm(_by_member(rows), matrices, out=product.transpose(0, 1))
    return product


def _weight_gradients(gradient: Tensor, rows: Tensor) -> Tensor:
    """(N, rows, d'), (N, rows, d) → (N, d', d), neither of which is a product with a vector."""
    width, entering = gradient.shape[2], rows.shape[2]
    if min(width, entering) > 1:
        return torch.bmm(gradient.transpose(1, 2), rows)
    filled = (F.pad(tensor, (0, LANES - 1)) if tensor.shape[2] == 1 else tensor for tensor in (gradient, rows))
    wide, tall = filled
    return torch.bmm(wide.transpose(1, 2), tall)[:, :width, :entering].contiguous()


def _by_member(rows: Tensor) -> Tensor:
    """(rows, N, d) → (N, rows, d), without a copy where each member's part begins where a register does."""
    turned = rows.transpose(0, 1)
    return turned.contiguous() if rows.shape[2] % LANES else turned


def evenly(function: Callable[[Tensor], Tensor], numbers: Tensor) -> Tensor:
    """A function of each number by the same code for every one: a processor takes neighbours that fill a register at
    once, and those that are left over or lie apart by another approximation. Zeros fill them up.
    """
    flat = numbers.reshape(-1).contiguous()
    missing = -len(flat) % REGISTER
    return function(F.pad(flat, (0, missing)) if missing else flat)[: len(flat)].view(numbers.shape)
