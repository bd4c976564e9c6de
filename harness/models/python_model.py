"""The user's own network: any callable `package.module:name` that gives a module for channels and classes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import nn

from harness.models.foreign import Foreign
from harness.source import contained, did_you_mean, reason


class Python(Foreign):
    """Your own network, from a callable such as `my_package.nets:small` given channels, classes and its settings."""

    is_anyones = True

    name: Literal["python"] = "python"
    callable: str
    source_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of the file that defines the callable; filled in where it is not said, so that other code has another id.
    What that file imports is not in it."""

    @field_validator("callable")
    @classmethod
    def _can_be_imported(cls, path: str) -> str:
        _source(path)
        return path

    @field_validator("source_sha256")
    @classmethod
    def _is_of_the_source(cls, digest: str | None, info: ValidationInfo) -> str | None:
        if "callable" not in info.data:
            return digest
        found = hashlib.sha256(_source(info.data["callable"]).read_bytes()).hexdigest()
        if digest not in (None, found):
            raise ValueError(
                f"{info.data['callable']} has changed: its file's digest is {found}; write that, or nothing"
            )
        return found

    @property
    def label(self) -> str:
        return f"{self.callable.rpartition(':')[2]}{self.settings_label}"

    def build(self, channels: int, classes: int) -> nn.Module:
        made: nn.Module = imported(self.callable)(channels=channels, classes=classes, **self.settings)
        return made


def imported(path: str) -> Callable[..., Any]:
    """What stands at `package.module:name`; raises `ValueError` where that is nothing that can be called."""
    module_name, _, name = path.partition(":")
    if not (module_name and name):
        raise ValueError("no callable is named so; write package.module:name")
    module = _module(module_name)
    found: object = module
    for part in name.split("."):
        if part not in dir(found):
            raise ValueError(f"{module_name} has no {name}; {did_you_mean(part, _callables(module))}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} of {module_name} is a {type(found).__name__} and cannot be called")
    return found


def _module(name: str) -> ModuleType:
    try:
        with contained():
            return import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"there is no module {error.name} here; install it, or run with its folder in PYTHONPATH"
        ) from error
    except Exception as error:  # an import runs anybody's code
        raise ValueError(f"importing {name} ends in {type(error).__name__}: {reason(error)}") from error


def _callables(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def _source(path: str) -> Path:
    """The file that defines a callable: it may have been imported from another than the one that is named."""
    found = imported(path)
    module = inspect.getmodule(found) or _module(path.partition(":")[0])
    file = vars(module).get("__file__")
    if file is None or not Path(file).is_file():
        raise ValueError(f"{module.__name__} has no file whose digest could be taken; write the callable into one")
    return Path(file)
