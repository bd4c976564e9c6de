"""Class folders of images: PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, or `val` for `test`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import DataError
from harness.data.encoded import SUFFIXES, Encoded
from harness.data.listed import ListedDataset, Listing, Part
from harness.files import at_home, printable
from harness.source import MissingError

FOLDERS = {"train": ("train",), "test": ("test", "val")}


class ClassFolders(ListedDataset):
    """What all sets share that are laid out so."""

    _remedy_for_shared = "give each of `train` and `test` files of its own"

    def listing(self, part: Part) -> Listing:
        root = self._folder(part)
        folders = _class_folders(root)
        expected = folders if part == "train" else _class_folders(self._folder("train"))
        classes = tuple(path.name for path in expected)
        strange = [path for path in folders if path.name not in classes]
        if strange:
            raise DataError(f"{printable(strange[0])} is of no class of the training images; rename or remove it")
        return _listed(root, classes, tuple((path.name, path.stat().st_mtime_ns) for path in folders))

    def named(self) -> list[tuple[str, Path]]:
        parts: tuple[Part, ...] = ("train", "test")
        return [
            (f"{part}/{path.relative_to(self._folder(part)).as_posix()}", path)
            for part in parts
            for path in self.listing(part).files
        ]

    def _folder(self, part: Part) -> Path:
        root = at_home(self.path)
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
        return printable(self.root)

    def where(self, index: int) -> str:
        return printable(self.files[index])

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
        return self._path(index).read_bytes()

    def where(self, index: int) -> str:
        return printable(self._path(index))

    def _path(self, index: int) -> Path:
        return self.root / os.fsdecode(bytes(self.names[index]))

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


def _class_folders(root: Path) -> list[Path]:
    """A part's folders, one a class, in order; raises `DataError` for images that lie in none of them."""
    folders, files = _content(root)
    loose = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    if loose:
        raise DataError(f"{printable(loose[0])} lies in no class's folder; move it into one or remove it")
    if not folders:
        raise DataError(f"{printable(root)} has no folder, and must have one for each class; add them")
    return folders


def _images_in(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The images of a folder and of all below it, links followed; raises `DataError` for anything else there."""
    if any(folder.samefile(one) for one in above):
        raise DataError(f"{printable(folder)} leads back to a folder that it lies in; remove the link")
    folders, files = _content(folder)
    for path in files:
        if not path.name.lower().endswith(SUFFIXES):
            raise DataError(f"{printable(path)} is no JPEG, PNG or WebP; convert it or remove it")
        yield path
    for path in folders:
        yield from _images_in(path, (*above, folder))


def _content(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, in order, without hidden ones.

    Raises `DataError` for what cannot be read, and for what is neither: reading a pipe would wait for ever.
    """
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = folder / entry.name
                if entry.is_dir():
                    folders.append(path)
                elif entry.is_file():
                    files.append(path)
                else:
                    raise DataError(f"{printable(path)} is a broken link or no regular file; mend it or remove it")
    except OSError as error:
        place = printable(error.filename or folder)
        raise DataError(f"{place} cannot be read ({error.strerror}); mend it or remove it") from error
    return sorted(folders), sorted(files)
