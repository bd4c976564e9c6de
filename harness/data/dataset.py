"""What a data set is: two pools of labelled images, of which search may see only the first."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.source import UserError
from harness.spec import Spec

# The bounds belong to the types: a subclass that only gives a default would lose them.
Count = Annotated[int, Field(gt=0)]
Shift = Annotated[int, Field(ge=0, le=16)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1)]


class DataError(UserError):
    """Images or labels that no one can train on; the message names the file, what is wrong and the remedy."""


class Labelled(Protocol):
    """Images with a label each, decoded or not."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Shape (n,)."""

    @property
    def fingerprint(self) -> str:
        """Of their content."""

    def taken(self, indices: NDArray[np.int64]) -> Labelled:
        """The images at some indices, in that order."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Images:
    """Images as uint8 of shape (n, channels, height, width), and labels as int64 of shape (n,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or len(self.pixels) != len(self.labels):
            raise ValueError(
                f"images are uint8 of shape (n, channels, height, width) with a label each, "
                f"not {self.pixels.dtype} of {self.pixels.shape} with {len(self.labels)} labels"
            )

    def taken(self, indices: NDArray[np.int64]) -> Images:
        """The images at some indices, in that order."""
        return Images(self.pixels[indices], self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels and labels."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).reshape(-1).data)
        digest.update(np.ascontiguousarray(self.labels).reshape(-1).data)
        return digest.hexdigest()


class Dataset(Spec, ABC):
    """A data set with its split and its augmentation; subclasses say where the images come from.

    The test images are the data set's own and the same in every study; `validation` images are cut
    from the rest by `split_seed`, and training takes what is left, or `train` of it.
    """

    name: str
    validation: Count
    train: int | None = Field(default=None, gt=1)
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    """NumPy's, of 32 bits."""
    shift: Shift
    """Pixels by which training images move at random, zero-padded, in both directions."""
    flip: bool
    """Whether training images are mirrored left to right at random."""
    mean: tuple[Share, ...] | None = Field(default=None, min_length=1, max_length=3)
    """What is taken from each channel of pixels in 0…1, such as a pretrained network expects it; by default the
    training images' own mean."""
    spread: tuple[Positive, ...] | None = Field(default=None, min_length=1, max_length=3)
    """What the rest is divided by; by default the training images' own standard deviation."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many classes there are."""

    @property
    @abstractmethod
    def pool(self) -> int:
        """How many images there are beside the test images."""

    @abstractmethod
    def training_images(self, root: Path) -> Labelled:
        """All images but the test images; `root` is where downloads live.

        Raises `MissingError` where this machine cannot have them.
        """

    @abstractmethod
    def test_images(self, root: Path) -> Labelled:
        """The test images. Only `splits.open_test` calls this; a test of the project walks the code for others."""

    def files(self, root: Path) -> list[Path]:
        """The files that its images are read from, where they lie on this machine; none where it needs none."""
        return []

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        """The same, read from copies of those files, each at its `place`; the root's own is moved along."""
        return self

    def pinned(self, beside: Path | None) -> Self:
        """The same with what its files decide filled in; `beside` is the study's file.

        Raises `MissingError` or `DataError` for files that are not there, or not good as far as a glance shows.
        """
        return self

    @property
    def train_count(self) -> int:
        """How many images a student trains on."""
        return self.train or self.pool - self.validation

    @property
    def views(self) -> int | None:
        """How many views augmentation has of an image; None for endlessly many."""
        return (2 * self.shift + 1) ** 2 * (2 if self.flip else 1)

    @property
    def misfit(self) -> str | None:
        """What is wrong where `mean` or `spread` is not for this number of channels."""
        for setting, values in (("mean", self.mean), ("spread", self.spread)):
            if values and len(values) != self.shape[0]:
                return f"{setting} has {len(values)} values and the images of {self.name} have {self.shape[0]} channels"
        return None

    @property
    def shortage(self) -> str | None:
        """What is wrong where more images are asked for than there are, or fewer than one of each class."""
        if self.validation + max(self.train_count, 2) > self.pool:
            return (
                f"{self.name} has {self.pool} images beside its test images; "
                f"validation {self.validation} and train {self.train or '2 or more'} ask for more"
            )
        if self.classes < 2:
            return f"{self.name} has images of one class, and there is nothing to tell apart; add another class"
        if min(self.validation, self.train_count) < self.classes:
            return (
                f"{self.name} has {self.classes} classes, and each needs an image in validation "
                f"({self.validation}) and in train ({self.train_count}); ask for more images"
            )
        return None
