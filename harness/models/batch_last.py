"""Convolution and batch normalisation of stacked networks on a CPU, with gradients: torch's side of `kernels.py`.

To torch a stack's maps are (N·B, c, h, w); in memory a pixel's images lie side by side, (c, h, w, N, B), and torch's
functions of each number leave them so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WHOLE = 64
"""So many images of a member fill every register: torch takes no more columns at once."""


def convolved(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """N convolutions: (N·B, c, h, w), weight (N, c', c / groups, k, k), bias (N, c') → (N·B, c', h', w')."""
    images, weight = as_autocast(images, weight)
    found: Tensor = _Convolution.apply(images.float(), weight.float(), bias, stride, padding, groups)
    return found.to(images.dtype)


def normed(features: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """N batch normalisations: (N·B, c) or (N·B, c, h, w), with weight and bias (N, c) → the same shape, and means and
    biased variances (N, c).
    """
    standard, mean, variance = _Norm.apply(features.float(), weight, bias, epsilon)
    return standard.to(features.dtype), mean, variance


def as_autocast(*operands: Tensor) -> Sequence[Tensor]:
    """In the type that a product is taken in."""
    kind = operands[0].device.type
    if not torch.is_autocast_enabled(kind):
        return operands
    return [operand.to(torch.get_autocast_dtype(kind)) for operand in operands]


class _Convolution(torch.autograd.Function):
    """By `kernels.convolve`."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, images: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
    ) -> Tensor:
        from harness.models.kernels import convolve

        members, width, own, kernel, _ = weight.shape
        maps = _laid(images, members)
        by_rows = weight.transpose(2, 3).reshape(members, width, kernel, own * kernel).contiguous()
        down, wide = ((size + 2 * padding - kernel) // stride + 1 for size in images.shape[2:])
        found = maps.new_empty(width, down, wide, *maps.shape[3:])
        convolve(maps.numpy(), by_rows.numpy(), found.numpy(), stride, padding, groups)
        if bias is not None:
            found += bias.T[:, None, None, :, None]
        ctx.save_for_backward(maps, weight)
        ctx.settings = stride, padding, groups
        return _as_features(found)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        from harness.models.kernels import convolve_back, convolve_weights

        maps, weight = ctx.saved_tensors
        members, width, own, kernel, _ = weight.shape
        of_found = _laid(gradient, members)
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            groups = ctx.settings[2]
            by_entries = weight.view(members, groups, width // groups, own, kernel, kernel).permute(0, 4, 1, 3, 5, 2)
            by_entries = by_entries.reshape(members, kernel, -1, width // groups).contiguous()
            of_maps = torch.empty_like(maps)
            convolve_back(of_found.numpy(), by_entries.numpy(), of_maps.numpy(), *ctx.settings)
            of_images = _as_features(of_maps)
        if ctx.needs_input_grad[1]:
            by_rows = weight.new_empty(members, width, kernel, own * kernel)
            convolve_weights(maps.numpy(), of_found.numpy(), by_rows.numpy(), *ctx.settings)
            of_weight = by_rows.view(members, width, kernel, own, kernel).transpose(2, 3)
        if ctx.needs_input_grad[2]:
            of_bias = of_found.permute(3, 0, 1, 2, 4).flatten(2).sum(dim=2)
        return of_images, of_weight, of_bias, None, None, None


class _Norm(torch.autograd.Function):
    """By `kernels.normalise`, or `normalise_vectors`."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, features: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        from harness.models.kernels import normalise, normalise_vectors

        of_vectors = features.dim() == 2
        laid = _laid(features, len(weight))
        standard, mean, variance = torch.empty_like(laid), torch.empty_like(weight), torch.empty_like(weight)
        given, told = (laid, weight.detach(), bias.detach()), (standard, mean, variance)
        by = normalise_vectors if of_vectors else normalise
        by(*(tensor.numpy() for tensor in (*given, *told)), epsilon)
        ctx.save_for_backward(laid, weight, mean, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return _as_features(standard), mean, variance

    @staticmethod
    def backward(ctx, gradient: Tensor, *_: Tensor):  # type: ignore[no-untyped-def]
        from harness.models.kernels import normalise_back, normalise_vectors_back

        laid, weight, mean, variance = ctx.saved_tensors
        of_standard = _laid(gradient, len(weight))
        of_laid, of_weight, of_bias = torch.empty_like(laid), torch.empty_like(mean), torch.empty_like(mean)
        given, found = (laid, of_standard, weight.detach(), mean, variance), (of_laid, of_weight, of_bias)
        back = normalise_vectors_back if gradient.dim() == 2 else normalise_back
        back(*(tensor.numpy() for tensor in (*given, *found)), ctx.epsilon)
        return _as_features(of_laid), of_weight, of_bias, None


def _laid(features: Tensor, members: int) -> Tensor:
    """(N·B, c, h, w) → (c, h, w, N, B), and (N·B, c) → (N, B, c): the memory of `kernels`."""
    if features.dim() == 2:
        return features.contiguous().view(members, -1, features.shape[1])
    maps = features.permute(1, 2, 3, 0).contiguous()
    return maps.view(*maps.shape[:3], members, -1)


def _as_features(laid: Tensor) -> Tensor:
    """Back: in that memory, where the sums that torch takes over pixels see whole registers of one member's images, or
    else in torch's usual one.
    """
    if laid.dim() == 3:
        return laid.flatten(0, 1)
    images = laid.flatten(3).permute(3, 0, 1, 2)
    return images.contiguous() if laid.shape[4] % WHOLE else images


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
        return tensor.unflatten(0, (members, -1)).index_select(0, places).flatten(0, 1)
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
    return tensor.stride(0) == 1 and not tensor.is_contiguous()
