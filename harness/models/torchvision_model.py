"""Torchvision's classifiers, with their pretrained weights by name; built for images of 224 pixels, not for 32."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
import torch.hub
from pydantic import JsonValue, ValidationInfo, field_validator
from torch import nn
from torch.overrides import TorchFunctionMode

from harness.models.foreign import Foreign
from harness.source import MissingError, UserError, did_you_mean

AUXILIARY = ("googlenet", "inception_v3")
"""They have extra classifiers, which give more than logits in training and are left out here."""


class Torchvision(Foreign):
    """Any classifier of torchvision by its constructor's name, with pretrained weights or none."""

    name: Literal["torchvision"] = "torchvision"
    constructor: str
    weights: str | None = None
    """`DEFAULT`, or a name such as `IMAGENET1K_V2`. The classifier's own are taken where the classes are as many;
    a first convolution for grey images has the sum over the colours."""

    @field_validator("constructor")
    @classmethod
    def _is_a_classifier(cls, constructor: str) -> str:
        from torchvision import models

        known = models.list_models(module=models)
        if constructor not in known:
            raise ValueError(f"no classifier of torchvision; {did_you_mean(constructor, known)}")
        return constructor

    @field_validator("weights")
    @classmethod
    def _exist(cls, weights: str | None, info: ValidationInfo) -> str | None:
        """`DEFAULT` becomes the name that it stands for: a newer torchvision may have others."""
        if weights is None or "constructor" not in info.data:
            return weights
        from torchvision import models

        known = models.get_model_weights(info.data["constructor"]).__members__
        if weights not in known:
            raise ValueError(f"no weights of {info.data['constructor']}; {did_you_mean(weights, known)}")
        return str(known[weights].name)

    @field_validator("settings")
    @classmethod
    def _leave_the_harness_its_own(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for setting, instead in (
            ("num_classes", "the data say how many"),
            ("weights", "write it beside `constructor`"),
        ):
            if setting in settings:
                raise ValueError(f"{setting} is no setting here: {instead}")
        return settings

    @property
    def label(self) -> str:
        weights = f"-{self.weights.lower()}" if self.weights else ""
        return f"{self.constructor}{weights}{self.settings_label}"

    def build(self, channels: int, classes: int) -> nn.Module:
        network = self._made(classes)
        if channels == 3 and self.weights is not None and hasattr(network, "transform_input"):
            network.__dict__["transform_input"] = True  # such weights take images of another spread
        if channels != 3:
            path, conv = _first_convolution(network)
            network.set_submodule(path, _for_channels(conv, channels))
        return network

    def _made(self, classes: int) -> nn.Module:
        from torchvision import models

        settings: dict[str, Any] = dict(self.settings)
        if self.constructor in AUXILIARY:
            settings = {"aux_logits": False, "init_weights": True, **settings}
        with _WidthsOnCpu() if self.constructor.startswith("regnet") else nullcontext():
            made: nn.Module = models.get_model(self.constructor, weights=None, num_classes=classes, **settings)
        return made

    @property
    def is_pretrained(self) -> bool:
        return self.weights is not None

    def is_trained_for(self, classes: int) -> bool:
        from torchvision import models

        if self.weights is None:
            return False
        weights = models.get_model_weights(self.constructor)[self.weights]
        return len(weights.meta["categories"]) == classes

    def load_pretrained(self, network: nn.Module) -> nn.Module:
        if self.weights is None:
            return network
        own, trained = network.state_dict(), self._pretrained().state_dict()
        first = f"{_first_convolution(network)[0]}.weight"
        if own[first].shape[1] == 1:
            trained[first] = trained[first].sum(dim=1, keepdim=True)
        with torch.no_grad():
            for name, value in own.items():
                if trained[name].shape == value.shape:
                    value.copy_(trained[name])
        return network

    def _pretrained(self) -> nn.Module:
        """Torchvision's own network with these weights, for colour images and the classes of the weights."""
        from torchvision import models

        weights = models.get_model_weights(self.constructor)[str(self.weights)]
        try:
            weights.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise MissingError(
                f"the weights {self.weights} of {self.constructor} are not whole in {folder} and cannot be downloaded "
                f"({reason}); put {weights.url} there, in place of what is there under its name"
            ) from error
        try:
            with torch.random.fork_rng(devices=[]):
                made: nn.Module = models.get_model(self.constructor, weights=weights, **self.settings)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"the weights {self.weights} of {self.constructor} do not fit its settings: {error}"
            ) from error
        return made


def _first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d))


def _for_channels(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """The same convolution for another number of channels, with fresh weights."""
    return nn.Conv2d(
        channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )


class _WidthsOnCpu(TorchFunctionMode):
    """Lets RegNets be built without memory: they work out their widths as tensors and read them."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        on_cpu = {"device": "cpu"} if func in (torch.arange, torch.tensor) else {}
        return func(*args, **(kwargs or {}) | on_cpu)
