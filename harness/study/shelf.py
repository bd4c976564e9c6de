"""The shelf: where a study or a search space is found by its name.

A name is looked up as a path, then in `./studies` (or `./search_spaces`), then among those that ship
with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import harness
from harness.source import did_you_mean

Kind = Literal["studies", "search_spaces"]


class NotOnShelfError(Exception):
    """No file of that name; the message says what there is."""


def find(kind: Kind, name: str, beside: Path | None = None) -> Path:
    """The YAML file that a name means; raises `NotOnShelfError`.

    A relative path is also tried `beside` the file that names it.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        places = [Path(name), beside.parent / name] if beside else [Path(name)]
        for path in places:
            if path.is_file():
                return path
        if Path(name).is_dir():
            raise NotOnShelfError("is a folder; name a YAML file")
        raise NotOnShelfError("is not found; correct the path")
    known = everything(kind)
    if name not in known:
        if Path(name).is_dir():
            raise NotOnShelfError("is a folder; name a YAML file")
        raise NotOnShelfError(f"is not found; {did_you_mean(name, known)}")
    return known[name]


def everything(kind: Kind) -> dict[str, Path]:
    """Name → file of all that a name can mean here; what lies in the working folder wins."""
    return {path.stem: path for folder in reversed(folders(kind)) for path in sorted(folder.glob("*.yaml"))}


def folders(kind: Kind) -> list[Path]:
    """Where names are looked up, first to last: the working folder, and the package's own."""
    package = Path(harness.__file__).parent
    shipped = package / "shipped" / kind
    # In a checkout the package's own files are the repository's top-level folders.
    return [folder for folder in (Path(kind), shipped, package.parent / kind) if folder.is_dir()]
