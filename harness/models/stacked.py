"""Stacked networks: several networks of one shape, computed as one, each with weights of its own.

    images (N·B, c, h, w), a member's side by side ──► the network's own code ──► logits (N·B, classes)

Image b of member n stands at n·B + b. What has no weights treats every image by itself and need not know; what has
them is one of `stacked_layers.py`. Small networks are slow for their many small operations; N of them take as many
operations as one.

No member's arithmetic depends on how many others there are: the same network gives the same numbers, bit
for bit, in every stack (on a CPU; tests/models/test_stacked.py holds it to that).
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.batch_invariant import ROW
from harness.models.layers import Pointwise
from harness.models.stacked_layers import Curve, StackedBatchNorm, StackedConv2d, StackedLinear
from harness.models.stacked_perceptron import StackedPerceptron, is_perceptron

_LEAVES = (nn.Conv2d, Pointwise, nn.BatchNorm1d, nn.BatchNorm2d, nn.Linear)
_DRAWS = (nn.modules.dropout._DropoutNd, nn.RReLU)
"""Layers that draw: in a stack all members would draw from one generator."""
_CURVES = (
    nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.SiLU, nn.GELU, nn.ELU, nn.SELU, nn.CELU, nn.Mish, nn.Softplus,
    nn.Softsign, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip
"""Functions of each number whose approximation depends on where it stands; see `batch_invariant.evenly`."""


def can_stack(module: nn.Module) -> bool:
    """Whether every weight of a module sits in a layer that can be stacked, and nothing in it draws."""
    leaves = [layer for _, layer in module.named_modules(remove_duplicate=False) if isinstance(layer, _LEAVES)]
    if len({id(layer) for layer in leaves}) < len(leaves):  # weights in two places
        return False
    for layer in module.modules():
        holds = bool(list(layer.parameters(recurse=False)) or list(layer.buffers(recurse=False)))
        if isinstance(layer, _DRAWS) or (holds and type(layer) not in _LEAVES):
            return False
        if isinstance(layer, nn.Conv2d) and not _is_plain(layer):
            return False
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and not _is_usual(layer):
            return False
    return True


def _is_usual(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    """Whether a normalisation has what is stacked; without a momentum it takes the mean of all passes."""
    return layer.affine and layer.track_running_stats and layer.momentum is not None


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether a convolution is of the kind that small classifiers have: square, undilated, padded with zeros."""
    square = layer.kernel_size[0] == layer.kernel_size[1] and layer.stride[0] == layer.stride[1]
    padded = isinstance(layer.padding, tuple) and layer.padding[0] == layer.padding[1]
    return square and padded and layer.dilation == (1, 1) and layer.padding_mode == "zeros"


class Stacked:
    """Modules of one shape as one module, in training mode; `members` are read and not changed.

    `values` and `gradients` are all weights of member n in row n, (members, weights and some zeros); the layers' own
    are views of them, so that an optimiser takes a handful of operations a step, whatever the network.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        self._plain = copy.deepcopy(members[0]).to(memory_format=torch.contiguous_format)
        """A module as it is outside of a stack, to hand members out in."""
        self.values = torch.stack([_flat(member) for member in members])
        self._statistics = {
            name: torch.stack([dict(member.named_buffers())[name] for member in members]).contiguous()
            for name, _ in members[0].named_buffers()
        }
        self._build()

    def _build(self) -> None:
        """The layers over what `values` and the statistics are now."""
        self.gradients = torch.zeros_like(self.values)
        self.leaves = [weights.requires_grad_() for weights in self._weights()]
        """The layers' weights, (members, …) each."""
        self.network = self._over(self.leaves)

    def frozen(self) -> nn.Module:
        """The same network, but to it its weights are constants: gradients flow through it and not into it."""
        return self._over(self._weights())

    def _weights(self) -> list[Tensor]:
        """Views of `values`, a layer's weights each."""
        shapes = [parameter.shape for parameter in self._plain.parameters()]
        filling = self.values.shape[1] - sum(shape.numel() for shape in shapes)
        parts = self.values.split([*(shape.numel() for shape in shapes), filling], dim=1)
        return [part.view(self.count, *shape) for part, shape in zip(parts, shapes, strict=False)]

    def _over(self, weights: Sequence[Tensor]) -> nn.Module:
        """The network over such weights."""
        network = copy.deepcopy(self._plain).train()
        own = dict(zip(dict(self._plain.named_parameters()), weights, strict=True))
        for path, layer in reversed(list(network.named_modules(remove_duplicate=False))):  # a module after its layers
            stacked: nn.Module | None = None
            if isinstance(layer, _CURVES):
                stacked = Curve(layer)
            elif isinstance(layer, _LEAVES):
                prefix = f"{path}." if path else ""
                stacked = self._stacked(layer, prefix, {name: own.get(prefix + name) for name in ("weight", "bias")})
            elif is_perceptron(layer):
                stacked = StackedPerceptron(OrderedDict(layer._modules))
            if stacked is not None:
                if not path:
                    return stacked
                parent, _, name = path.rpartition(".")
                setattr(network.get_submodule(parent), name, stacked)
        return network

    def _stacked(self, layer: nn.Module, prefix: str, weights: dict[str, Tensor | None]) -> nn.Module:
        weight, bias = weights["weight"], weights["bias"]
        assert weight is not None
        match layer:
            case nn.Conv2d():
                return StackedConv2d(layer, weight, bias)
            case nn.Linear():
                return StackedLinear(weight, bias)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                assert bias is not None
                own = [
                    self._statistics[prefix + name] for name in ("running_mean", "running_var", "num_batches_tracked")
                ]
                return StackedBatchNorm(layer, weight, bias, *own)
        raise TypeError(f"a {type(layer).__name__} cannot be stacked")

    @property
    def count(self) -> int:
        """How many members there are."""
        return len(self.values)

    def take_gradients(self, of_leaves: Sequence[Tensor | None]) -> None:
        """Puts the leaves' gradients, in their order, side by side; None stands for zeros."""
        pairs = zip(self.leaves, of_leaves, strict=True)
        flat = [(torch.zeros_like(leaf) if found is None else found).flatten(1) for leaf, found in pairs]
        filled = sum(one.shape[1] for one in flat)
        if flat:
            torch.cat(flat, dim=1, out=self.gradients[:, :filled])

    def state(self, member: int) -> dict[str, Tensor]:
        """A member's state as its plain module would give it: copies."""
        state, start = {}, 0
        for name, parameter in self._plain.named_parameters():
            state[name] = self.values[member, start : start + parameter.numel()].view(parameter.shape).clone()
            start += parameter.numel()
        return state | {name: stacked[member].clone() for name, stacked in self._statistics.items()}

    def member(self, member: int) -> nn.Module:
        """A member as the plain module that it is, in training mode: a copy."""
        return copy.deepcopy(self.lent(member))

    def lent(self, member: int) -> nn.Module:
        """The same without a copy: good until the next member is asked for."""
        self._plain.load_state_dict(self.state(member))
        return self._plain

    def take_up(self, member: int, state: dict[str, Tensor]) -> None:
        """Gives a member the state of a plain module."""
        module = copy.deepcopy(self._plain)
        module.load_state_dict(state)
        self.values[member] = _flat(module)
        for name, buffer in module.named_buffers():
            self._statistics[name][member] = buffer

    def keep(self, members: Sequence[int]) -> None:
        """Goes on with some of the members, in this order."""
        rows = torch.tensor(members, device=self.values.device)
        self.values = self.values[rows]
        self._statistics = {name: stacked[rows] for name, stacked in self._statistics.items()}
        self._build()


def _flat(module: nn.Module) -> Tensor:
    weights = [parameter.detach().reshape(-1) for parameter in module.parameters()]
    flat = torch.cat(weights) if weights else torch.zeros(0)
    return F.pad(flat, (0, -len(flat) % ROW))
