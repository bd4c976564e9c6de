"""Foreign networks: what the harness did not write, whose stages and classifier are found by running it once.

For every size of map above 1×1 a stage ends at the outermost module that gives a map of that size, the last of
them where there are several: at `layer1` of a ResNet-50, and not inside of `layer2`, whose first convolutions
still have that size. The pass computes nothing (meta device).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Self

import torch
from pydantic import Field, JsonValue, model_validator
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from harness.models.architecture import Architecture
from harness.source import contained, did_you_mean, reason, shown

PIXELS = (224, 64, 32, 28, 8)
"""Heights and widths at which a network is tried; the first that it takes shows its stages."""
CLASSES = 7


class Foreign(Architecture):
    """A network of other people's, made from `settings` that only its own code knows."""

    is_anyones: ClassVar[bool] = False
    """Whether its code may do anything, such as build another network each time."""

    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Handed to the network's own code by name."""
    stages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Module paths at the ends of the stages, shallow to deep; found by a pass where they are not said."""

    @model_validator(mode="after")
    def _runs(self) -> Self:
        if self.stages and len(set(self.stages)) < len(self.stages):
            raise ValueError("a stage stands twice; keep one")
        for path in self.stages or ():
            if path not in self._survey.modules:
                raise ValueError(f"no module {shown(path)} ends a stage; {did_you_mean(path, self._survey.modules)}")
        _ = self._survey
        return self

    @property
    def _survey(self) -> Survey:
        return survey(type(self), self.model_dump_json(exclude={"stages"}))

    @property
    def taps(self) -> tuple[str, ...]:
        return self.stages or self._survey.stages

    @property
    def classifier(self) -> str:
        return self._survey.classifier

    @property
    def settings_label(self) -> str:
        """Settings as a label's ending, such as `(width=8)`."""
        said = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(self.settings.items()))
        return f"({said})" if said else ""


@dataclass(frozen=True)
class Survey:
    """What a pass shows of a network."""

    stages: tuple[str, ...]
    classifier: str
    """Path of the last linear layer that runs; empty where none does."""
    modules: tuple[str, ...]


@cache  # half a second for a DenseNet, and a spec is validated often
def survey(family: type[Foreign], settings: str) -> Survey:
    """The survey of a network from its spec's JSON; raises `ValueError` where it cannot be built or run."""
    spec = family.model_construct(**json.loads(settings))  # unchecked: checking is what asks for this survey
    network = _built(spec)
    if spec.is_anyones and _shapes(network) != _shapes(_built(spec)):
        raise ValueError(
            f"{spec.label} is another network each time that it is built; let channels, classes and settings decide it"
        )
    shapeless = [path for path, module in network.named_modules() if isinstance(module, LazyModuleMixin)]
    if shapeless:
        raise ValueError(
            f"{spec.label} has a layer without a size at {shapeless[0]}; give it one instead of a Lazy layer"
        )
    refusals = []
    for pixels in PIXELS:
        try:
            with contained():
                return _surveyed(network, pixels)
        except Exception as error:  # anybody's code
            refusals.append(f"{pixels} ({reason(error)})")
    raise ValueError(f"{spec.label} takes colour images of none of these heights and widths: {'; '.join(refusals)}")


def _built(spec: Foreign) -> nn.Module:
    try:
        with contained(), torch.device("meta"):
            network = spec.build(3, CLASSES)
    except TypeError as error:  # a wrong setting, for one
        raise ValueError(f"{spec.label} cannot be built: {reason(error)}") from error
    except Exception as error:  # anybody's code
        raise ValueError(f"{spec.label} cannot be built without memory: {reason(error)}") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"{spec.label} is a {type(network).__name__} and no torch.nn.Module; return one")
    return network


def _shapes(network: nn.Module) -> dict[str, object]:
    return {
        name: None if is_lazy(value) else value.shape
        for name, value in (*network.named_parameters(), *network.named_buffers())
    }


def _surveyed(network: nn.Module, pixels: int) -> Survey:
    ended: dict[str, tuple[int, int]] = {}
    linear: list[str] = []

    def note(path: str, module: nn.Module, inputs: object, output: object) -> None:
        ended.pop(path, None)  # a module that runs again ends where it ends last
        if isinstance(module, nn.Linear):
            linear.append(path)
        if isinstance(output, Tensor) and output.ndim == 4 and not isinstance(module, nn.AdaptiveAvgPool2d):
            ended[path] = output.shape[2], output.shape[3]

    images = torch.empty(2, 3, pixels, pixels, device="meta")
    hooks = [module.register_forward_hook(partial(note, path)) for path, module in network.named_modules() if path]
    in_training: set[str] = set()
    with torch.no_grad():
        for mode in (True, False):  # what is only wrong in training would show when it is too late
            in_training |= ended.keys()
            ended.clear()
            linear.clear()
            _check_logits(network.train(mode)(images))
    for hook in hooks:
        hook.remove()
    stages: dict[tuple[int, int], str] = {}
    for path, size in ended.items():
        # Square images have square maps; other shapes of four dimensions are no maps of positions behind channels.
        is_tap = path in in_training and size[0] == size[1] > 1
        if is_tap and path.count(".") <= stages.get(size, path).count("."):
            stages[size] = path
    order = tuple(path for path in ended if path in stages.values())
    modules = tuple(path for path, _ in network.named_modules() if path)
    return Survey(order, linear[-1] if linear else "", modules)


def _check_logits(logits: object) -> None:
    if not isinstance(logits, Tensor):
        raise TypeError(f"it gives a {type(logits).__name__} and no tensor of logits")
    if logits.shape != (2, CLASSES):
        raise ValueError(f"it gives {tuple(logits.shape)} for 2 images and {CLASSES} classes, not (2, {CLASSES})")
