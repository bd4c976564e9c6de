"""The layers of stacked networks: N of a kind as one, each with weights of its own; see `stacked.py`."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.batch_invariant import LANES, REGISTER, MemberProducts, evenly
from harness.models.layers import Pointwise


class StackedConv2d(nn.Module):
    """N convolutions: (B·N, c, h, w) → (B·N, c', h', w'); weight (N, c', c / groups, k, k)."""

    def __init__(self, layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.padding, self.groups = int(layer.padding[0]), layer.groups
        self.stride = layer.step if isinstance(layer, Pointwise) else layer.stride[0]

    def forward(self, images: Tensor) -> Tensor:
        """The member's own convolution for each image."""
        members, width, channels, kernel, _ = self.weight.shape
        stacked = images.reshape(-1, members, *images.shape[1:])
        in_groups = self.groups > 1 or not (channels % LANES or width % LANES or kernel == 1)
        if in_groups:
            convolved = self._grouped(stacked)
        elif images.shape[-1] <= NARROW:
            convolved = BandedConvolution.apply(stacked, self.weight, self.stride, self.padding)
        else:
            convolved = self._as_product(stacked)
        if self.bias is not None:
            convolved = convolved + self.bias[:, :, None, None]
        return convolved.flatten(0, 1)

    def _grouped(self, stacked: Tensor) -> Tensor:
        members, width = self.weight.shape[:2]
        weight, groups = self.weight.flatten(0, 1), members * self.groups
        images = stacked.flatten(1, 2)
        is_lonely = groups == 1 and images.device.type == "cpu"
        if is_lonely:  # a library has other kernels for one group, which round otherwise
            weight, images, groups = torch.cat([weight, weight]), torch.cat([images, images], dim=1), 2
        convolved = F.conv2d(images, weight, None, self.stride, self.padding, groups=groups)
        unfolded: Tensor = convolved.unflatten(1, (-1, width))
        return unfolded[:, :1].contiguous() if is_lonely else unfolded

    def _as_product(self, stacked: Tensor) -> Tensor:
        """One product of matrices a member, of the patches under the kernel."""
        batch, members, _, *high_across = stacked.shape
        width, kernel = self.weight.shape[1], self.weight.shape[3]
        high, across = ((size + 2 * self.padding - kernel) // self.stride + 1 for size in high_across)
        patches = F.unfold(stacked.flatten(0, 1), kernel, padding=self.padding, stride=self.stride)
        columns = patches.view(batch, members, -1, high * across).permute(1, 2, 0, 3).flatten(2)
        product = torch.bmm(self.weight.flatten(2), columns).view(members, width, batch, high, across)
        return product.permute(2, 0, 1, 3, 4).contiguous()


NARROW = 8
"""Pixels across up to which a convolution of few channels is a banded product (measured, see benchmarks/LOG.md)."""


class BandedConvolution(torch.autograd.Function):
    """N convolutions of narrow images as one product of matrices a member.

    A row of the product is k whole rows of the image, so that its columns are copied in long runs; the kernel
    becomes a banded matrix, (c·k·w) × (c'·w'), most of it zeros. On 8 pixels that is less than three times the
    arithmetic of the convolution, at several times the speed that grouped convolutions of few channels have.
    """

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:  # type: ignore[no-untyped-def]
        """(B, N, c, h, w), (N, c', c, k, k) → (B, N, c', h', w')."""
        batch, members, channels, _, across = images.shape
        width, kernel = weight.shape[1], weight.shape[3]
        which, into = _bands(across, kernel, stride, padding, images.device)
        rows = F.pad(images, (0, 0, padding, padding)).contiguous()
        down, wide = (rows.shape[3] - kernel) // stride + 1, into.shape[1]
        strides = rows.stride()
        columns = rows.as_strided(
            (members, batch, down, channels, kernel * across),
            (strides[1], strides[0], stride * strides[3], strides[2], 1),
        ).reshape(members, batch * down, channels * kernel * across)
        banded = F.pad(weight, (0, 1))[..., which].view(*weight.shape[:4], across, wide)
        banded = banded.permute(0, 2, 3, 4, 1, 5).reshape(members, columns.shape[2], width * wide)
        product = torch.bmm(columns, banded)  # in bfloat16 under autocast, and then so is all that flows back
        ctx.save_for_backward(columns.to(product.dtype), banded.to(product.dtype), into)
        ctx.shapes = images.shape, weight.shape, stride, padding, down, wide
        product = product.view(members, batch, down, width, wide)
        return product.permute(1, 0, 3, 2, 4).contiguous()

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        columns, banded, into = ctx.saved_tensors
        (batch, members, channels, high, across), weight_shape, stride, padding, down, wide = ctx.shapes
        width, kernel = weight_shape[1], weight_shape[3]
        of_product = gradient.permute(1, 0, 3, 2, 4).reshape(members, batch * down, width * wide)
        of_images = of_weight = None
        if ctx.needs_input_grad[1]:
            of_banded = torch.bmm(columns.transpose(1, 2), of_product)
            of_banded = of_banded.view(members, channels, kernel, across, width, wide).permute(0, 4, 1, 2, 3, 5)
            padded = F.pad(of_banded.reshape(members, width, channels, kernel, across * wide), (0, 1))
            of_weight = padded[..., into].sum(dim=-1)
        if ctx.needs_input_grad[0]:
            of_columns = torch.bmm(of_product, banded.transpose(1, 2))
            of_columns = of_columns.view(members, batch, down, channels, kernel, across).permute(1, 0, 3, 2, 4, 5)
            of_rows = gradient.new_zeros(batch, members, channels, high + 2 * padding, across)
            for row in range(kernel):
                of_rows[:, :, :, row : row + stride * (down - 1) + 1 : stride] += of_columns[:, :, :, :, row]
            of_images = of_rows[:, :, :, padding : padding + high]
        return of_images, of_weight, None, None


@cache
def _bands(across: int, kernel: int, stride: int, padding: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where a kernel's entries stand in its banded matrix of (w × w') places.

    For each place the entry that stands there, or `kernel` for none, (w·w',); and for each entry the places where
    it stands, one an output pixel, or w·w' for none, (k, w').
    """
    wide = (across + 2 * padding - kernel) // stride + 1
    which = torch.full((across, wide), kernel)
    into = torch.full((kernel, wide), across * wide)
    for pixel in range(wide):
        for entry in range(kernel):
            source = pixel * stride + entry - padding
            if 0 <= source < across:
                which[source, pixel] = entry
                into[entry, pixel] = source * wide + pixel
    return which.flatten().to(device), into.to(device)


class StackedLinear(nn.Module):
    """N linear layers: (B·N, …, d) → (B·N, …, d'); weight (N, d', d)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, features: Tensor) -> Tensor:
        """The member's own product for each row."""
        members, width, entering = self.weight.shape
        between = features.shape[1:-1]
        rows = features.reshape(-1, members, between.numel(), entering).transpose(1, 2)
        weight, bias = self.weight, self.bias
        kind = rows.device.type
        if torch.is_autocast_enabled(kind):
            rows, weight = (tensor.to(torch.get_autocast_dtype(kind)) for tensor in (rows, weight))
        product: Tensor = MemberProducts.apply(rows.reshape(-1, members, entering), weight, bias)
        return product.reshape(-1, between.numel(), members, width).transpose(1, 2).reshape(-1, *between, width)


class Curve(nn.Module):
    """A layer that is a function of each number, taken `evenly`."""

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, numbers: Tensor) -> Tensor:
        """Any shape → the same."""
        return evenly(self.function, numbers)


class StackedBatchNorm(nn.Module):
    """N batch normalisations in training: (B·N, c, …) → the same shape; every member by its own statistics."""

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
        channels = self.weight.numel()
        stacked = features.reshape(-1, channels, *features.shape[2:])
        mean, variance = self.running_mean.view(-1), self.running_var.view(-1)
        weight, bias = self.weight.flatten(), self.bias.flatten()
        # Without positions a register takes several channels, and those that fill none are rounded differently.
        missing = -channels % REGISTER if stacked[0, 0].numel() == 1 else 0
        if missing:
            filled = F.pad(stacked.flatten(1), (0, missing))
            mean, variance, weight, bias = (F.pad(tensor, (0, missing)) for tensor in (mean, variance, weight, bias))
            normed = self._normed(filled, mean, variance, weight, bias)[:, :channels].contiguous()
            self.running_mean.view(-1).copy_(mean[:channels])
            self.running_var.view(-1).copy_(variance[:channels])
        else:
            normed = self._normed(stacked, mean, variance, weight, bias)
        return normed.view(features.shape)

    def _normed(self, features: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.batch_norm(features, mean, variance, weight, bias, training=True, momentum=self.momentum, eps=self.eps)
