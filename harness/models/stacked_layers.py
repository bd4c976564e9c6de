"""The layers of stacked networks: N of a kind as one, each with weights of its own; see `stacked.py`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.batch_invariant import evenly, member_products
from harness.models.batch_last import as_autocast, convolved, normed
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
            return self._elsewhere(images)
        return convolved(images, self.weight, self.bias, self.stride, self.padding, self.groups)

    def _elsewhere(self, images: Tensor) -> Tensor:
        members = len(self.weight)
        beside = _beside(images, members)
        weight, bias, groups = self.weight.flatten(0, 1), self.bias, members * self.groups
        bias = None if bias is None else bias.flatten()
        together = F.conv2d(beside, weight, bias, self.stride, self.padding, groups=groups)
        return _after_each_other(together, members)


class StackedLinear(nn.Module):
    """N linear layers: (N·B, …, d) → (N·B, …, d'); weight (N, d', d)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, features: Tensor) -> Tensor:
        """The member's own product for each row."""
        members, width, entering = self.weight.shape
        rows, weight, bias = features.reshape(members, -1, entering), self.weight, self.bias
        rows, weight = as_autocast(rows, weight)
        product = member_products(rows, weight)
        if bias is not None:
            product = product + bias[:, None].to(product.dtype)
        return product.view(*features.shape[:-1], width)


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
        if features.device.type != "cpu":
            return self._elsewhere(features)
        running = self.running_mean, self.running_var
        return normed(features, self.weight, self.bias, running, self.eps, self.momentum)

    def _elsewhere(self, features: Tensor) -> Tensor:
        members = len(self.weight)
        beside = _beside(features, members)
        statistics = self.running_mean.view(-1), self.running_var.view(-1)
        weight, bias = self.weight.flatten(), self.bias.flatten()
        standard = F.batch_norm(beside, *statistics, weight, bias, training=True, momentum=self.momentum, eps=self.eps)
        return _after_each_other(standard, members)


def _beside(features: Tensor, members: int) -> Tensor:
    """(N·B, c, …) → (B, N·c, …): members as groups of channels, for libraries."""
    stacked: Tensor = features.unflatten(0, (members, -1))
    return stacked.transpose(0, 1).flatten(1, 2)


def _after_each_other(features: Tensor, members: int) -> Tensor:
    """Back."""
    stacked: Tensor = features.unflatten(1, (members, -1))
    return stacked.transpose(0, 1).flatten(0, 1)
