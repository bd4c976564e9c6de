"""Foreign networks: what the harness did not write, whose stages and classifier are found by running it once.

For every size of map above 1×1 a stage ends at the outermost module that gives a map of that size, the last of
them where there are several: at `layer1` of a ResNet-50, and not inside of `layer2`, whose first convolutions
still have that size. The pass computes nothing (meta device).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from typing import Self

import torch
from pydantic import Field, JsonValue, model_validator
from torch import Tensor, nn

from harness.models.architecture import Architecture
from harness.source import did_you_mean, shown

PIXELS = (224, 64, 32, 28, 8)
"""Heights and widths at which a network is tried; the first that it takes shows its stages."""
CLASSES = 7


class Foreign(Architecture):
    """A network of other people's, made from `settings` that only its own code knows."""

    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Handed to the network's own code by name."""
    stages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Module paths at the ends of the stages, shallow to deep; found by a pass where they are not said."""

    @model_validator(mode="after")
    def _runs(self) -> Self:
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
    try:
        with torch.device("meta"):
            network = spec.build(3, CLASSES)
    except Exception as error:  # anybody's code
        raise ValueError(f"{spec.label} cannot be built without memory: {_reason(error)}") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"{spec.label} is a {type(network).__name__} and no torch.nn.Module; return one")
    refusals = []
    for pixels in PIXELS:
        try:
            return _surveyed(network, pixels)
        except Exception as error:  # anybody's code
            refusals.append(f"{pixels} ({_reason(error)})")
    raise ValueError(f"{spec.label} takes colour images of none of these heights and widths: {'; '.join(refusals)}")


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
    with torch.no_grad():
        for mode in (True, False):  # what is only wrong in training would show when it is too late
            _check_logits(network.train(mode)(images))
        hooks = [module.register_forward_hook(partial(note, path)) for path, module in network.named_modules() if path]
        network(images)
    for hook in hooks:
        hook.remove()
    stages: dict[tuple[int, int], str] = {}
    for path, size in ended.items():
        # Square images have square maps; other shapes of four dimensions are no maps of positions behind channels.
        if size[0] == size[1] > 1 and path.count(".") <= stages.get(size, path).count("."):
            stages[size] = path
    order = tuple(path for path in ended if path in stages.values())
    modules = tuple(path for path, _ in network.named_modules() if path)
    return Survey(order, linear[-1] if linear else "", modules)


def _check_logits(logits: object) -> None:
    if not isinstance(logits, Tensor):
        raise TypeError(f"it gives a {type(logits).__name__} and no tensor of logits")
    if logits.shape != (2, CLASSES):
        raise ValueError(f"it gives {tuple(logits.shape)} for 2 images and {CLASSES} classes, not (2, {CLASSES})")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
