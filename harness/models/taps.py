"""Taps: the activations at named points of a network, read without touching its code.

A tap is a module path (`stage2`, `features.12`) or `embedding`, the input of the last linear layer. Its
map has the shape (n, c, h, w); a vector counts as a map of 1×1. A copy is kept where the network goes on
to change the activation in place, as an in-place ReLU does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from harness.models.architecture import Architecture
from harness.source import contained, reason

Shape = tuple[int, int, int]

EMBEDDING = "embedding"

LISTED = 60
"""How many module paths a refusal lists beside the stages' ends."""


@dataclass(frozen=True)
class Features:
    """What a network says of a batch: logits (n, classes) and, by tap, maps (n, c, h, w)."""

    logits: Tensor
    maps: dict[str, Tensor]

    def each(self, change: Callable[[Tensor], Tensor]) -> Features:
        """The same features with every tensor changed alike."""
        return Features(change(self.logits), {tap: change(tensor) for tap, tensor in self.maps.items()})


class Tapped:
    """A network whose forward pass also gives the maps at some taps.

    `taps` maps the name under which a map is given to its module path, or to `embedding`; `classifier` is
    the path of the layer whose input that is. Raises `ValueError` with the list of paths for a path that
    the network does not have.
    """

    def __init__(self, network: nn.Module, taps: Mapping[str, str], classifier: str = "classifier") -> None:
        modules = dict(network.named_modules())
        for path in [classifier if path == EMBEDDING else path for path in taps.values()]:
            if path not in modules:
                raise ValueError(f"no tap {path!r} in this network; it has {', '.join(filter(None, modules))}")
        self.network, self.taps = network, taps
        self._outputs = {tap: modules[path] for tap, path in taps.items() if path != EMBEDDING}
        self._inputs = {tap: modules[classifier] for tap, path in taps.items() if path == EMBEDDING}
        self._changed_later: set[str] | None = None
        """The taps that the network changes in place after they were read; None until a pass has shown them."""

    def __call__(self, images: Tensor) -> Features:
        """Images (n, c, h, w) → `Features`; the network carries its hooks only for this pass."""
        read: dict[str, tuple[Tensor, int]] = {}
        copies: dict[str, Tensor] = {}

        def keep(tap: str, activation: Tensor) -> None:
            read[tap] = activation, activation._version
            if self._changed_later is None or tap in self._changed_later:
                copies[tap] = activation.clone()

        def of_output(tap: str, module: nn.Module, inputs: object, output: Tensor) -> None:
            keep(tap, output)

        def of_input(tap: str, module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            keep(tap, next(iter((*inputs, *named.values()))))

        hooks: list[RemovableHandle] = []
        hooks += [module.register_forward_hook(partial(of_output, tap)) for tap, module in self._outputs.items()]
        hooks += [
            module.register_forward_pre_hook(partial(of_input, tap), with_kwargs=True)
            for tap, module in self._inputs.items()
        ]
        try:
            logits = self.network(images)
        finally:
            for hook in hooks:
                hook.remove()
        if self._changed_later is None:
            self._changed_later = {tap for tap, (tensor, version) in read.items() if tensor._version != version}
        given = {tap: copies[tap] if tap in self._changed_later else read[tap][0] for tap in read}
        return Features(logits, {tap: _as_map(tensor) for tap, tensor in given.items()})


def _as_map(activation: Tensor) -> Tensor:
    return activation[:, :, None, None] if activation.ndim == 2 else activation


@dataclass(frozen=True)
class Anatomy:
    """What one pass without arithmetic shows of a network: where it can be tapped, and what it gives there."""

    label: str
    stages: tuple[str, ...]
    """Module paths of the stage ends, shallow to deep."""
    maps: dict[str, Shape]
    """Module path → (channels, height, width) of its output, in the order in which modules end; `embedding` last.
    What gives another shape in training, or runs in one of the two modes alone, is left out."""
    learnable: int = 1
    """How many tensors of weights training would change."""

    def shape(self, path: str) -> Shape:
        """The shape at a tap; raises `ValueError` with the paths that there are."""
        if path in self.maps:
            return self.maps[path]
        others = [other for other in self.maps if other not in self.stages]
        more = f", … ({len(others) - LISTED} more)" if len(others) > LISTED else ""
        raise ValueError(
            f"{self.label} has no tap {path}; its stages end at {', '.join(self.stages)}, "
            f"and it can also be tapped at {', '.join(others[:LISTED])}{more}"
        )


def anatomy(network: Architecture, image: Shape, classes: int) -> Anatomy:
    """The anatomy of a network for images of (channels, height, width); raises `ValueError` where it takes none."""
    return _anatomy(type(network), network.model_dump_json(), image, classes)


@cache  # 20 ms for a ResNet-8, and every trial of a study asks for one of a few
def _anatomy(family: type[Architecture], settings: str, image: Shape, classes: int) -> Anatomy:
    spec = family.model_validate_json(settings)
    maps: dict[str, Shape] = {}

    def note(
        path: str, module: nn.Module, inputs: tuple[object, ...], named: dict[str, object], output: object
    ) -> None:
        entered = next(iter((*inputs, *named.values())), None)
        if path == spec.classifier and isinstance(entered, Tensor) and entered.ndim == 2:
            maps[EMBEDDING] = entered.shape[1], 1, 1
        if isinstance(output, Tensor) and output.ndim in (2, 4):
            maps.pop(path, None)  # a module that runs again ends where it ends last
            maps[path] = _shape(output)

    in_training: dict[str, Shape] = {}
    try:
        with contained(), torch.device("meta"), torch.no_grad():
            ghost = spec.build(image[0], classes)
            for path, module in ghost.named_modules():
                if path:
                    module.register_forward_hook(partial(note, path), with_kwargs=True)
            for mode in (True, False):
                in_training |= maps
                maps.clear()
                logits = ghost.train(mode)(torch.empty(2, *image))
            learnable = sum(parameter.requires_grad for parameter in ghost.parameters())
    except Exception as error:  # foreign networks are anybody's code
        asked = "×".join(map(str, image))
        raise ValueError(
            f"{spec.label} does not take images of {asked} ({reason(error)}); take another network"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        raise ValueError(f"{spec.label} gives no logits of shape (n, {classes}) for {classes} classes")
    maps = {path: shape for path, shape in maps.items() if in_training.get(path) == shape}
    if EMBEDDING in maps:
        maps[EMBEDDING] = maps.pop(EMBEDDING)
    return Anatomy(spec.label, spec.taps, maps, learnable)


def _shape(activation: Tensor) -> Shape:
    height, width = activation.shape[2:] or (1, 1)
    return activation.shape[1], height, width


def tap_shapes(network: Architecture, image: Shape, classes: int) -> dict[str, Shape]:
    """Channels, height and width at the network's own taps."""
    found = anatomy(network, image, classes)
    return {tap: found.shape(tap) for tap in network.taps}
