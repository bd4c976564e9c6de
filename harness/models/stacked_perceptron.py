"""Stacked perceptrons: linear layers, batch normalisations and ReLUs of vectors in a row, as one operation.

A discriminator is small: layer by layer torch takes longer to come to its arithmetic than for it. Here the same
products and kernels run in the same order, so every number is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.models.batch_last import normalise, normalise_back
from harness.models.stacked_layers import StackedBatchNorm, StackedLinear

_KEPT = {StackedLinear: 1, StackedBatchNorm: 3, nn.ReLU: 1}
"""How many tensors a layer's gradient needs beside weights."""


def is_perceptron(module: nn.Module) -> bool:
    """Whether a module is a row of such layers, once they are stacked; a product with a vector is not one of them, nor
    a first ReLU, which may change what the row is given.
    """
    if type(module) is not nn.Sequential or not all(type(layer) in _KEPT for layer in module):
        return False
    products = [layer for layer in module if isinstance(layer, StackedLinear)]
    are_of_matrices = all(min(layer.weight.shape[1:]) > 1 for layer in products)
    return bool(products) and are_of_matrices and not isinstance(module[0], nn.ReLU)


class StackedPerceptron(nn.Sequential):
    """Such a row, under the names that its layers had: (N·B, d) → (N·B, d')."""

    def forward(self, features: Tensor) -> Tensor:
        """As one operation on vectors on a CPU; elsewhere, or where a layer is listened to, layer by layer."""
        is_plain = features.device.type == "cpu" and features.dim() == 2 and not torch.is_autocast_enabled("cpu")
        if not is_plain or any(layer._forward_hooks for layer in self):
            for layer in self:
                features = layer(features)
            return features
        layers = list(self)
        weights = [weight for layer in layers for weight in _weights(layer)]
        found: Tensor = _Perceptron.apply(features, layers, *weights)
        return found.flatten(0, 1)


def _weights(layer: nn.Module) -> Sequence[Tensor | None]:
    return (layer.weight, layer.bias) if isinstance(layer, (StackedLinear, StackedBatchNorm)) else ()


class _Perceptron(torch.autograd.Function):
    """(N·B, d) → (N, B, d')."""

    @staticmethod
    def forward(ctx, features: Tensor, layers: Sequence[nn.Module], *weights: Tensor | None) -> Tensor:  # type: ignore[no-untyped-def]
        members = next(len(weight) for weight in weights if weight is not None)
        rows = features.contiguous().view(members, -1, features.shape[1])
        kept: list[Tensor] = []
        for layer in layers:
            entering = rows
            match layer:
                case StackedLinear():
                    rows = torch.bmm(entering, layer.weight.transpose(1, 2))
                    if layer.bias is not None:
                        rows += layer.bias[:, None]
                    kept.append(entering)
                case StackedBatchNorm():
                    layer.num_batches_tracked += 1
                    rows, running = torch.empty_like(entering), (layer.running_mean, layer.running_var)
                    statistics = normalise(entering, layer.weight, layer.bias, rows, running, layer.eps, layer.momentum)
                    kept += [entering, *statistics]
                case _:
                    rows = torch.relu(entering)
                    kept.append(rows)
        ctx.layers, ctx.count = layers, len(kept)
        ctx.save_for_backward(*kept, *weights)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx, rows: Tensor):  # type: ignore[no-untyped-def]
        kept, weights = list(ctx.saved_tensors[: ctx.count]), list(ctx.saved_tensors[ctx.count :])
        learns = any(ctx.needs_input_grad[2:])
        rows = rows.contiguous()
        of_weights: list[Tensor | None] = []
        for place, layer in reversed(list(enumerate(ctx.layers))):
            mine = _KEPT[type(layer)]
            entering, *statistics = kept[-mine:]
            del kept[-mine:]
            if isinstance(layer, nn.ReLU):
                rows = torch.ops.aten.threshold_backward(rows, entering, 0)
                continue
            bias, weight = weights.pop(), weights.pop()
            if isinstance(layer, StackedBatchNorm):
                found, (mean, variance) = torch.empty_like(rows), statistics
                of_weight, of_bias = normalise_back(entering, rows, weight, mean, variance, found, layer.eps)
                of_weights += [of_bias, of_weight]
                rows = found
                continue
            of_weights.append(rows.sum(dim=1) if learns and bias is not None else None)
            of_weights.append(torch.bmm(rows.transpose(1, 2), entering) if learns else None)
            if place or ctx.needs_input_grad[0]:
                rows = torch.bmm(rows, weight)
        return rows.flatten(0, 1) if ctx.needs_input_grad[0] else None, None, *reversed(of_weights)
