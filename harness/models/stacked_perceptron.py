"""Stacked perceptrons: linear layers, batch normalisations and ReLUs of vectors in a row, as one operation.

A discriminator is small: layer by layer torch takes longer to come to its arithmetic than for it. Here the same
products and kernels run in the same order, so every number is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.models.batch_last import normalise, normalise_back
from harness.models.stacked_layers import StackedBatchNorm, StackedLinear


def is_perceptron(module: nn.Module) -> bool:
    """Whether a module is a row of such layers, once they are stacked, with a product between matrices in it."""
    if type(module) is not nn.Sequential:
        return False
    linear = [layer for layer in module if isinstance(layer, StackedLinear)]
    return (
        all(type(layer) in (StackedLinear, StackedBatchNorm, nn.ReLU) for layer in module)
        and any(linear)
        and all(min(layer.weight.shape[1:]) > 1 for layer in linear)
    )


class StackedPerceptron(nn.Module):
    """Such a row: (N·B, d) → (N·B, d')."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.members = next(len(layer.weight) for layer in layers if isinstance(layer, StackedLinear))

    def forward(self, features: Tensor) -> Tensor:
        """As one operation on vectors in single precision on a CPU, elsewhere layer by layer."""
        if features.device.type != "cpu" or features.dim() != 2 or torch.is_autocast_enabled("cpu"):
            for layer in self.layers:
                features = layer(features)
            return features
        layers = list(self.layers)
        weighted = [layer for layer in layers if not isinstance(layer, nn.ReLU)]
        weights = [weight for layer in weighted for weight in (layer.weight, layer.bias)]
        found: Tensor = _Perceptron.apply(features, self.members, layers, *weights)
        return found


class _Perceptron(torch.autograd.Function):
    """Keeps of each layer what its gradient needs."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, features: Tensor, members: int, layers: Sequence[nn.Module], *weights: Tensor | None
    ) -> Tensor:
        rows = features.contiguous().view(members, -1, features.shape[1])
        ctx.layers, ctx.kept = layers, []
        for layer in layers:
            entering = rows
            match layer:
                case StackedLinear():
                    rows = torch.bmm(entering, layer.weight.transpose(1, 2))
                    if layer.bias is not None:
                        rows += layer.bias[:, None]
                    ctx.kept.append((entering,))
                case StackedBatchNorm():
                    layer.num_batches_tracked += 1
                    rows, running = torch.empty_like(entering), (layer.running_mean, layer.running_var)
                    statistics = normalise(entering, layer.weight, layer.bias, rows, running, layer.eps, layer.momentum)
                    ctx.kept.append((entering, *statistics))
                case _:
                    rows = torch.relu(entering)
                    ctx.kept.append((rows,))
        return rows.flatten(0, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        layers, kept = list(ctx.layers), list(ctx.kept)
        learns = any(ctx.needs_input_grad[3:])
        rows = gradient.contiguous().view(len(kept[0][0]), -1, gradient.shape[1])
        of_weights: list[Tensor | None] = []
        while layers:
            layer, (of, *statistics) = layers.pop(), kept.pop()
            match layer:
                case StackedLinear():
                    has_bias = learns and layer.bias is not None
                    of_weights.append(rows.sum(dim=1) if has_bias else None)
                    of_weights.append(torch.bmm(rows.transpose(1, 2), of) if learns else None)
                    if layers or ctx.needs_input_grad[0]:
                        rows = torch.bmm(rows, layer.weight)
                case StackedBatchNorm():
                    found, (mean, variance) = torch.empty_like(of), statistics
                    of_weight, of_bias = normalise_back(of, rows, layer.weight, mean, variance, found, layer.eps)
                    of_weights += [of_bias, of_weight] if learns else [None, None]
                    rows = found
                case _:
                    rows = torch.ops.aten.threshold_backward(rows, of, 0)
        of_features = rows.flatten(0, 1) if ctx.needs_input_grad[0] else None
        return of_features, None, None, *reversed(of_weights)
