"""Data sets of the user's own encoded images: listed from their files, checked, and decoded once or streamed.

Shape, classes and sizes come from the files. Listing reads labels and the first image alone, so that a
study can be checked and shown without decoding anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import PIL
from numpy.typing import NDArray
from pydantic import Field, FieldSerializationInfo, field_serializer, model_validator

from harness.data.dataset import Count, DataError, Dataset, Labelled, Shift
from harness.data.decoding import Conversion, decoded_images
from harness.data.encoded import Encoded
from harness.data.placed import Placed, digest_of
from harness.files import printable
from harness.source import MissingError
from harness.spec import content_id, is_identity

Part = Literal["train", "test"]


def _identity(path: Path) -> tuple[int, int]:
    """What is the same for a file and every link to it."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


RESIZE, CROP, WORKERS = 256, 224, 2
"""A stream's defaults: ImageNet's usual sizes (He et al. 2016)."""


@dataclass(frozen=True, eq=False)
class Listing(ABC):
    """One part of a data set as its files list it."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    """Names of the classes; empty where only their numbers are known."""

    @abstractmethod
    def where(self, index: int) -> str:
        """Where an image lies, for a message."""

    @abstractmethod
    def first(self) -> bytes:
        """The first image's bytes."""

    @abstractmethod
    def encoded(self, digest: str) -> Encoded:
        """All images, to be decoded; `digest` is the data set's."""

    @abstractmethod
    def packed(self, digest: str, place: Path) -> Encoded:
        """The same, to be read one by one in any order; where files do not allow that it is written to `place`."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where all of it lies, for a message."""

    def shape_after(self, convert: Conversion) -> tuple[int, int, int]:
        """Channels, height and width of the first image; raises `DataError` where it cannot be decoded."""
        if convert not in self._shapes:
            channels, height, width = convert(self.first(), self.where(0)).shape
            self._shapes[convert] = channels, height, width
        return self._shapes[convert]

    @cached_property
    def _shapes(self) -> dict[Conversion, tuple[int, int, int]]:
        """Conversion → the first image's shape, as it was asked for."""
        return {}

    def check(self, classes: int) -> None:
        """Raises `DataError` for an empty part, a label out of range, or a class without an image."""
        if not len(self.labels):
            raise DataError(f"{self.place} holds no image; add some")
        for wrong, bound in ((self.labels < 0, "below 0"), (self.labels >= classes, f"not below {classes}")):
            if wrong.any():
                index = int(wrong.argmax())
                raise DataError(
                    f"{self.where(index)} has the label {self.labels[index]}, {bound}; correct it or remove the image"
                )
        present = np.unique(self.labels)  # and no count of each: a label may be as large as it likes
        if len(present) < classes:
            gaps = np.flatnonzero(present != np.arange(len(present)))
            empty = int(gaps[0]) if len(gaps) else len(present)
            name = f" ({self.classes[empty]})" if self.classes else ""
            last = int(self.labels.argmax())
            raise DataError(
                f"{self.place} has no image of class {empty}{name}, and {self.where(last)} has the label "
                f"{self.labels[last]}; add some, or number the classes anew"
            )


class ListedDataset(Dataset, Placed, ABC):
    """Encoded images of the user's; subclasses say how files list them. Nothing is presumed of the augmentation."""

    _remedy_for_shared: ClassVar[str]

    validation: Count
    shift: Shift = 0
    flip: bool = False
    size: int | None = Field(default=None, ge=1, le=1024)
    """Height and width to which images are brought; all have the same where it is not said."""
    channels: Literal[1, 3] | None = None
    """1 turns images grey, 3 into colours; all have the same where it is not said, and a stream's are in colours."""
    stream: bool = False
    """Whether images are read from disk as they are wanted, for sets that are too large to be held decoded."""
    resize: int = Field(default=RESIZE, ge=1, le=1024)
    """A stream's shorter side for evaluation, of which the middle `crop` is seen."""
    crop: int = Field(default=CROP, ge=1, le=1024)
    """Height and width that a stream gives; training crops and resizes at random."""
    workers: int = Field(default=WORKERS, ge=0, le=256)
    """Processes that decode a stream, beside the one that trains; 0 leaves it to that one. No number depends on it."""

    @field_serializer("workers")
    def _helpers(self, workers: int, info: FieldSerializationInfo) -> int:
        return 0 if is_identity(info) else workers

    @model_validator(mode="after")
    def _is_decoded_or_streamed(self) -> Self:
        if self.stream and (self.size or self.shift):
            raise ValueError("a stream is cropped at random; leave out `size` and `shift`, and set `resize` and `crop`")
        if self.stream and self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}, which it is cut from")
        fields = type(self).model_fields
        if not self.stream and any(
            getattr(self, name) != fields[name].default for name in ("resize", "crop", "workers")
        ):
            raise ValueError("resize, crop and workers are a stream's; add `stream: true`, or set `size` instead")
        return self

    @abstractmethod
    def listing(self, part: Part) -> Listing:
        """The part's files and labels; raises `MissingError` or `DataError`."""

    @abstractmethod
    def named(self) -> list[tuple[str, Path]]:
        """All files of both parts, in order, by names that do not depend on where they lie."""

    @property
    def shape(self) -> tuple[int, int, int]:
        if self.stream:
            return self.channels or 3, self.crop, self.crop
        return self.listing("train").shape_after(self._conversion)

    @property
    def classes(self) -> int:
        listed = self.listing("train")
        return len(listed.classes) or int(listed.labels.max(initial=0)) + 1

    @property
    def pool(self) -> int:
        return len(self.listing("train").labels)

    @property
    def views(self) -> int | None:
        return None if self.stream else super().views

    def training_images(self, root: Path) -> Labelled:
        return self._images("train", root)

    def test_images(self, root: Path) -> Labelled:
        return self._images("test", root)

    def files(self, root: Path) -> list[Path]:
        return [path for _, path in self.named()]

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        return self.model_copy(update={"path": str(place(Path(self.path).expanduser()))})

    def pinned(self, beside: Path | None) -> Self:
        found = self.at_its_place(beside)
        found._check()
        return found.model_copy(update={"sha256": found._verified()})

    @property
    def _conversion(self) -> Conversion:
        return Conversion(self.channels or (3 if self.stream else None), self.crop if self.stream else self.size)

    def _check(self) -> None:
        """Raises `DataError` for what can be known without decoding more than the first images."""
        parts = self.listing("train"), self.listing("test")
        self._keep_apart(*parts)
        for listed in parts:
            listed.check(self.classes)
        shapes = [listed.shape_after(self._conversion) for listed in parts]
        if shapes[0][0] not in (1, 3):
            raise DataError(
                f"{parts[0].where(0)} has {shapes[0][0]} channels; set `channels: 1` or `channels: 3` to convert all"
            )
        if shapes[0] != shapes[1]:
            raise DataError(
                f"{parts[1].where(0)} is of {shapes[1]} (channels, height, width) and {parts[0].where(0)} of "
                f"{shapes[0]}; set `size` or `channels` to convert all"
            )

    def _keep_apart(self, train: Listing, test: Listing) -> None:
        """Raises `DataError` where a file of the test images is one of the training images too, also by a link."""
        known = {_identity(path): path for path in train.files}
        for path in test.files:
            same = known.get(_identity(path)) or self._copy_of(path, train.files)
            if same is not None:
                other = "" if same == path else f" (there as {printable(same)})"
                raise DataError(
                    f"{printable(path)} is among the test images and among the training images{other}, and accuracy on "
                    f"it would say nothing; {self._remedy_for_shared}"
                )

    def _copy_of(self, path: Path, files: Sequence[Path]) -> Path | None:
        """A file with the same content, where that is never a matter of chance."""
        return None

    def _verified(self) -> str:
        """The digest of what is there; raises `MissingError` where it is not the one that is asked for."""
        digest = digest_of(self.named())
        if self.sha256 and digest != self.sha256:
            raise MissingError(
                f"{self.path} does not hold the data that sha256 names; its own is {digest}. "
                f"Put the right files there, or correct `sha256`"
            )
        return digest

    def _images(self, part: Part, root: Path) -> Labelled:
        self._check()
        digest = self._verified()
        listed = self.listing(part)
        settings = self.identity(without=(*Dataset.model_fields, *Placed.model_fields))
        if self.stream:  # which column holds the images is a setting too
            return listed.packed(digest, root / "packed" / content_id([digest, part, settings]))
        # Another version of Pillow may round a JPEG's pixels differently.
        key = content_id([digest, part, settings, PIL.__version__])
        return decoded_images(listed.encoded(digest), self.shape, self._conversion, root, key)
