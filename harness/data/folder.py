"""Class folders of images: PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, or `val` for `test`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import DataError
from harness.data.encoded import SUFFIXES, Encoded
from harness.data.listed import ListedDataset, Listing, Part
from harness.source import MissingError

FOLDERS = {"train": ("train",), "test": ("test", "val")}


class ClassFolders(ListedDataset):
    """What all sets share that are laid out so."""

    def listing(self, part: Part) -> Listing:
        root = self._folder(part)
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not folders:
            raise DataError(f"{root} has no folder, and must have one for each class; add them")
        expected = folders if part == "train" else self._class_folders()
        classes = tuple(path.name for path in expected)
        strange = [path for path in folders if path.name not in classes]
        if strange:
            raise DataError(f"{strange[0]} is of no class of the training images; rename or remove it")
        return _listed(root, classes, tuple((path.name, path.stat().st_mtime_ns) for path in folders))

    def named(self) -> list[tuple[str, Path]]:
        parts: tuple[Part, ...] = ("train", "test")
        return [
            (f"{part}/{path.relative_to(self._folder(part)).as_posix()}", path)
            for part in parts
            for path in self.listing(part).files
        ]

    def _class_folders(self) -> list[Path]:
        return sorted(p for p in self._folder("train").iterdir() if p.is_dir() and not p.name.startswith("."))

    def _folder(self, part: Part) -> Path:
        root = Path(self.path).expanduser()
        for name in FOLDERS[part]:
            if (root / name).is_dir():
                return root / name
        raise MissingError(f"{self.path} has no folder {' or '.join(FOLDERS[part])} here; add it, or correct `path`")


class Folder(ClassFolders):
    """Class folders of images: train/CLASS/… and test/CLASS/… (or val/CLASS/…), JPEG, PNG or WebP."""

    name: Literal["folder"] = "folder"


@dataclass(frozen=True, eq=False)
class Tree(Listing):
    """A file an image."""

    root: Path

    @property
    def place(self) -> str:
        return str(self.root)

    def where(self, index: int) -> str:
        return str(self.files[index])

    def first(self) -> bytes:
        return self.files[0].read_bytes()

    def encoded(self, digest: str) -> Files:
        # As bytes: text takes four times the memory, in each process that reads.
        names = np.array([os.fsencode(path.relative_to(self.root)) for path in self.files])
        return Files(self.labels, digest, self.root, names)

    def packed(self, digest: str, place: Path) -> Files:
        return self.encoded(digest)


@dataclass(frozen=True, eq=False)
class Files(Encoded):
    """Images that are a file each."""

    root: Path
    names: NDArray[np.bytes_]
    """Relative to `root`."""

    def content(self, index: int) -> bytes:
        return Path(self.where(index)).read_bytes()

    def where(self, index: int) -> str:
        return str(self.root / os.fsdecode(bytes(self.names[index])))

    def taken(self, indices: NDArray[np.int64]) -> Self:
        return replace(self, labels=self.labels[indices], names=self.names[indices])


@lru_cache(maxsize=16)
def _listed(root: Path, classes: tuple[str, ...], stamps: tuple[tuple[str, int], ...]) -> Tree:
    """The files of class folders in order; a folder that got or lost a file has another stamp."""
    files: list[Path] = []
    labels: list[int] = []
    for name, _ in stamps:
        own = sorted(_images_in(root / name))
        files += own
        labels += [classes.index(name)] * len(own)
    return Tree(tuple(files), np.array(labels, dtype=np.int64), classes, root)


def _images_in(folder: Path) -> list[Path]:
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith("."):
                continue
            if not name.lower().endswith(SUFFIXES):
                raise DataError(f"{Path(place) / name} is no JPEG, PNG or WebP; convert it or remove it")
            found.append(Path(place) / name)
    return found
