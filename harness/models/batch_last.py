"""Convolution and batch normalisation of stacked networks on a CPU, with gradients: torch's side of `kernels.py`.

To torch a stack's maps are (N·B, c, h, w); in memory a pixel's images lie side by side, (c, h, w, N, B), and torch's
functions of each number leave them so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.models.memory_order import settled


def convolved(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """N convolutions: (N·B, c, h, w), weight (N, c', c / groups, k, k), bias (N, c') → (N·B, c', h', w')."""
    images, weight = as_autocast(images, weight)
    found: Tensor = _Convolution.apply(images.float(), weight.float(), bias, stride, padding, groups)
    return found.to(images.dtype)


def normed(
    features: Tensor, weight: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], epsilon: float, momentum: float
) -> Tensor:
    """N batch normalisations in training: (N·B, c) or (N·B, c, h, w), weight and bias (N, c) → the same shape.

    The running means and variances, (N, c) each, follow.
    """
    standard: Tensor = _Norm.apply(features.float(), weight, bias, running, epsilon, momentum)
    return standard.to(features.dtype)


def as_autocast(*operands: Tensor) -> Sequence[Tensor]:
    """In the type that a product is taken in."""
    kind = operands[0].device.type
    if not torch.is_autocast_enabled(kind):
        return operands
    return [operand.to(torch.get_autocast_dtype(kind)) for operand in operands]


def compile_kernels() -> None:
    """Compiles the kernels, or loads what an earlier process compiled; else the first one that is asked for does."""
    import harness.models.kernels  # noqa: F401


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
        found = _empty(len(images), width, down, wide)
        into = _laid(found, members)
        convolve(maps.numpy(), by_rows.numpy(), into.numpy(), stride, padding, groups)
        if bias is not None:
            into += bias.T[:, None, None, :, None]
        ctx.save_for_backward(maps, weight)
        ctx.settings = stride, padding, groups
        return settled(found, members)

    @staticmethod
    @once_differentiable
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
            of_images = _empty(gradient.shape[0], *maps.shape[:3])
            convolve_back(of_found.numpy(), by_entries.numpy(), _laid(of_images, members).numpy(), *ctx.settings)
            of_images = settled(of_images, members)
        if ctx.needs_input_grad[1]:
            by_rows = weight.new_empty(members, width, kernel, own * kernel)
            convolve_weights(maps.numpy(), of_found.numpy(), by_rows.numpy(), *ctx.settings)
            of_weight = by_rows.view(members, width, kernel, own, kernel).transpose(2, 3)
        if ctx.needs_input_grad[2]:
            of_bias = of_found.permute(3, 0, 1, 2, 4).flatten(2, 3).contiguous().sum(dim=2).sum(dim=2)
        return of_images, of_weight, of_bias, None, None, None


class _Norm(torch.autograd.Function):
    """By `kernels.normalise`, or `normalise_vectors`."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, features: Tensor, weight: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], *settings: float
    ) -> Tensor:
        members = len(weight)
        laid, standard = _laid(features, members), _empty(*features.shape)
        mean, variance = normalise(laid, weight, bias, _laid(standard, members), running, *settings)
        ctx.save_for_backward(laid, weight, mean, variance)
        ctx.epsilon = settings[0]
        return settled(standard, members)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        laid, weight, mean, variance = ctx.saved_tensors
        members, of_features = len(weight), _empty(*gradient.shape)
        found = _laid(of_features, members)
        of_weight, of_bias = normalise_back(laid, _laid(gradient, members), weight, mean, variance, found, ctx.epsilon)
        return settled(of_features, members), of_weight, of_bias, None, None, None


def normalise(
    laid: Tensor, weight: Tensor, bias: Tensor, into: Tensor, running: tuple[Tensor, Tensor], *settings: float
) -> tuple[Tensor, Tensor]:
    """Standardises what lies as `kernels` have it; means and variances, (N, c). The settings are ε and momentum."""
    from harness.models import kernels

    mean, variance = torch.empty_like(weight), torch.empty_like(weight)
    by = kernels.normalise_vectors if laid.dim() == 3 else kernels.normalise
    by(*(tensor.detach().numpy() for tensor in (laid, weight, bias, into, mean, variance, *running)), *settings)
    return mean, variance


def normalise_back(
    laid: Tensor, gradient: Tensor, weight: Tensor, mean: Tensor, variance: Tensor, into: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Puts the gradient of what was standardised into a tensor; those of weights and biases, (N, c)."""
    from harness.models import kernels

    of_weight, of_bias = torch.empty_like(mean), torch.empty_like(mean)
    back = kernels.normalise_vectors_back if laid.dim() == 3 else kernels.normalise_back
    arrays = laid, gradient, weight, mean, variance, into, of_weight, of_bias
    back(*(tensor.detach().numpy() for tensor in arrays), epsilon)
    return of_weight, of_bias


def _empty(count: int, *shape: int) -> Tensor:
    """Features (n, c) or (n, c, h, w), which may be changed in place: no view of what else is."""
    if len(shape) == 1:
        return torch.empty(count, *shape)
    _, high, wide = shape
    return torch.empty_strided((count, *shape), (1, high * wide * count, wide * count, count))


def _laid(features: Tensor, members: int) -> Tensor:
    """(N·B, c, h, w) → (c, h, w, N, B), and (N·B, c) → (N, B, c): the memory of `kernels`."""
    if features.dim() == 2:
        return features.contiguous().view(members, -1, features.shape[1])
    maps = features.permute(1, 2, 3, 0).contiguous()
    return maps.view(*maps.shape[:3], members, -1)
