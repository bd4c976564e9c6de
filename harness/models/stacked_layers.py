"""The layers of stacked networks: N of a kind as one, each with weights of its own; see `stacked.py`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.batch_invariant import ROW, evenly, member_products
from harness.models.layers import Pointwise


class StackedConv2d(nn.Module):
    """N convolutions: (N·B, c, h, w) → (N·B, c', h', w'); weight (N, c', c / groups, k, k)."""

    def __init__(self, layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.padding, self.groups = int(layer.padding[0]), layer.groups
        self.stride = layer.step if isinstance(layer, Pointwise) else layer.stride[0]

    def forward(self, images: Tensor) -> Tensor:
        """The member's own convolution for each image."""
        if images.device.type != "cpu":
            return self._grouped(images)
        images, weight = _as_autocast(images, self.weight)
        settings = self.stride, self.padding, self.groups
        convolved: Tensor = MemberConvolution.apply(images.float(), weight.float(), self.bias, *settings)
        return convolved.to(images.dtype)

    def _grouped(self, images: Tensor) -> Tensor:
        members = len(self.weight)
        beside = images.unflatten(0, (members, -1)).transpose(0, 1).flatten(1, 2)
        weight, bias, groups = self.weight.flatten(0, 1), self.bias, members * self.groups
        bias = None if bias is None else bias.flatten()
        convolved = F.conv2d(beside, weight, bias, self.stride, self.padding, groups=groups)
        return convolved.unflatten(1, (members, -1)).transpose(0, 1).flatten(0, 1)


class MemberConvolution(torch.autograd.Function):
    """N convolutions on a CPU, by `kernels.convolve`."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, images: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, groups: int
    ) -> Tensor:
        """(N·B, c, h, w), (N, c', c / groups, k, k), (N, c') → (N·B, c', h', w')."""
        from harness.models.kernels import convolve

        members, width, own, kernel, _ = weight.shape
        maps = _maps(images, members)
        by_rows = weight.transpose(2, 3).reshape(members, width, kernel, own * kernel).contiguous()
        down, wide = ((size + 2 * padding - kernel) // stride + 1 for size in images.shape[2:])
        convolved = maps.new_empty(width, down, wide, *maps.shape[3:])
        convolve(maps.numpy(), by_rows.numpy(), convolved.numpy(), stride, padding, groups)
        if bias is not None:
            convolved += bias.T[:, None, None, :, None]
        ctx.save_for_backward(maps, weight)
        ctx.settings = stride, padding, groups
        return _images(convolved)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        from harness.models.kernels import convolve_back, convolve_weights

        maps, weight = ctx.saved_tensors
        members, width, own, kernel, _ = weight.shape
        of_convolved = _maps(gradient, members)
        of_images = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            groups = ctx.settings[2]
            by_entries = weight.view(members, groups, width // groups, own, kernel, kernel).permute(0, 4, 1, 3, 5, 2)
            by_entries = by_entries.reshape(members, kernel, -1, width // groups).contiguous()
            of_maps = torch.empty_like(maps)
            convolve_back(of_convolved.numpy(), by_entries.numpy(), of_maps.numpy(), *ctx.settings)
            of_images = _images(of_maps)
        if ctx.needs_input_grad[1]:
            by_rows = weight.new_empty(members, width, kernel, own * kernel)
            convolve_weights(maps.numpy(), of_convolved.numpy(), by_rows.numpy(), *ctx.settings)
            of_weight = by_rows.view(members, width, kernel, own, kernel).transpose(2, 3)
        if ctx.needs_input_grad[2]:
            of_bias = of_convolved.permute(3, 0, 1, 2, 4).flatten(2).sum(dim=2)
        return of_images, of_weight, of_bias, None, None, None


def _maps(images: Tensor, members: int) -> Tensor:
    """(N·B, c, h, w) → (c, h, w, N, B), the memory of `kernels`."""
    return images.permute(1, 2, 3, 0).contiguous().unflatten(3, (members, -1))


def _images(maps: Tensor) -> Tensor:
    """(c, h, w, N, B) → (N·B, c, h, w), in that memory, where the sums that torch takes over pixels see whole registers
    of one member's images; else in torch's usual one.
    """
    images = maps.flatten(3).permute(3, 0, 1, 2)
    return images.contiguous() if maps.shape[4] % ROW else images


class StackedLinear(nn.Module):
    """N linear layers: (N·B, …, d) → (N·B, …, d'); weight (N, d', d)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, features: Tensor) -> Tensor:
        """The member's own product for each row."""
        members, width, entering = self.weight.shape
        rows, weight, bias = features.reshape(members, -1, entering), self.weight, self.bias
        rows, weight = _as_autocast(rows, weight)
        product = member_products(rows, weight.transpose(1, 2))
        if bias is not None:
            product = product + bias[:, None]
        return product.view(*features.shape[:-1], width)


def _as_autocast(*operands: Tensor) -> Sequence[Tensor]:
    """In the type that a product is taken in."""
    kind = operands[0].device.type
    if not torch.is_autocast_enabled(kind):
        return operands
    return [operand.to(torch.get_autocast_dtype(kind)) for operand in operands]


class Curve(nn.Module):
    """A layer that is a function of each number, taken `evenly`."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, numbers: Tensor) -> Tensor:
        """Any shape → the same."""
        return evenly(self.function, numbers)


class StackedBatchNorm(nn.Module):
    """N batch normalisations in training: (N·B, c, …) → the same shape; every member by its own statistics."""

    def __init__(
        self,
        layer: nn.BatchNorm1d | nn.BatchNorm2d,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        num_batches_tracked: Tensor,
    ) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.momentum = weight, bias, layer.eps, layer.momentum or 0.0
        self.running_mean, self.running_var, self.num_batches_tracked = running_mean, running_var, num_batches_tracked

    def forward(self, features: Tensor) -> Tensor:
        """Standardises each channel of each member over its images and positions."""
        self.num_batches_tracked += 1
        images = features.reshape(*features.shape[:2], 1, -1) if features.dim() != 4 else features
        if features.device.type == "cpu":
            normed, mean, variance = MemberNorm.apply(images.float(), self.weight, self.bias, self.eps)
            count = images.numel() // self.weight.numel()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            normed = normed.to(features.dtype)
        else:
            normed = self._beside(images)
        return normed.view(features.shape) if features.dim() != 4 else normed

    def _beside(self, images: Tensor) -> Tensor:
        members = len(self.weight)
        beside = images.unflatten(0, (members, -1)).transpose(0, 1).flatten(1, 2)
        statistics = self.running_mean.view(-1), self.running_var.view(-1)
        weight, bias = self.weight.flatten(), self.bias.flatten()
        normed = F.batch_norm(beside, *statistics, weight, bias, training=True, momentum=self.momentum, eps=self.eps)
        return normed.unflatten(1, (members, -1)).transpose(0, 1).flatten(0, 1)


class MemberNorm(torch.autograd.Function):
    """N batch normalisations on a CPU, by `kernels.normalise`."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, images: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N·B, c, h, w), (N, c), (N, c) → the same shape, with means and biased variances, (N, c)."""
        from harness.models.kernels import normalise

        maps = _maps(images, len(weight))
        normed, mean, variance = torch.empty_like(maps), torch.empty_like(weight), torch.empty_like(weight)
        given, told = (maps, weight.detach(), bias.detach()), (normed, mean, variance)
        normalise(*(tensor.numpy() for tensor in (*given, *told)), epsilon)
        ctx.save_for_backward(maps, weight, mean, variance)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return _images(normed), mean, variance

    @staticmethod
    def backward(ctx, gradient: Tensor, *_: Tensor):  # type: ignore[no-untyped-def]
        from harness.models.kernels import normalise_back

        maps, weight, mean, variance = ctx.saved_tensors
        of_normed = _maps(gradient, len(weight))
        of_maps, of_weight, of_bias = torch.empty_like(maps), torch.empty_like(mean), torch.empty_like(mean)
        given, found = (maps, of_normed, weight.detach(), mean, variance), (of_maps, of_weight, of_bias)
        normalise_back(*(tensor.numpy() for tensor in (*given, *found)), ctx.epsilon)
        return _images(of_maps), of_weight, of_bias, None
