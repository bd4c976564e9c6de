"""Stacked networks: several networks of one shape, computed as one, each with weights of its own.

    images (B·N, c, h, w), the member fastest ──► the network's own code ──► logits (B·N, classes)

Image b of member n stands at b·N + n, so that (B·N, c, h, w) and (B, N·c, h, w) are the same memory: a
convolution becomes a grouped one, batch normalisation stays itself, a linear layer becomes N products in
one call. What has no weights treats every image by itself and need not know. Small networks are slow for
their many small operations; N of them take as many operations as one.

No member's arithmetic depends on how many others there are: the same network gives the same numbers, bit
for bit, in every stack (on a CPU; tests/models/test_stacked.py holds it to that).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.layers import Pointwise

_LEAVES = (nn.Conv2d, Pointwise, nn.BatchNorm1d, nn.BatchNorm2d, nn.Linear)
_DRAWS = (nn.modules.dropout._DropoutNd, nn.RReLU)
"""Layers that draw: in a stack all members would draw from one generator."""
_CURVES = (
    nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.SiLU, nn.GELU, nn.ELU, nn.SELU, nn.CELU, nn.Mish, nn.Softplus,
    nn.Softsign, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip
"""Functions of each number whose approximation depends on where it stands; see `evenly`."""


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
    """Whether a normalisation has what is stacked; without a momentum it takes the mean of all passes, and maps of one
    channel are in every layout at once, so that a stack of one would be rounded otherwise.
    """
    return layer.affine and layer.track_running_stats and layer.momentum is not None and layer.num_features > 1


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
        for path, layer in list(network.named_modules(remove_duplicate=False)):
            stacked: nn.Module | None = None
            if isinstance(layer, _CURVES):
                stacked = Curve(layer)
            elif isinstance(layer, _LEAVES):
                prefix = f"{path}." if path else ""
                stacked = self._stacked(layer, prefix, {name: own.get(prefix + name) for name in ("weight", "bias")})
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


ROW = 64
"""A row of weights is filled up with zeros to a multiple of so many: a processor rounds the last elements of an
operation, which do not fill its registers, differently from all others, and which those are depends on the stack."""


def _flat(module: nn.Module) -> Tensor:
    weights = [parameter.detach().reshape(-1) for parameter in module.parameters()]
    flat = torch.cat(weights) if weights else torch.zeros(0)
    return F.pad(flat, (0, -len(flat) % ROW))


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
        convolved = F.conv2d(stacked.flatten(1, 2), weight, None, self.stride, self.padding, groups=groups)
        unfolded: Tensor = convolved.unflatten(1, (members, width))
        return unfolded

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
LANES = 8
"""Channels that grouped convolutions take at once on a CPU: other counts run several times slower, and round
differently in stacks of different size."""
REGISTER = 32
"""Numbers that torch takes at once: two of a processor's widest registers."""


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
