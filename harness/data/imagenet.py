"""ImageNet (ILSVRC 2012): 1,281,167 + 50,000 images in 1,000 classes, streamed from below the data root."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import FieldSerializationInfo, field_serializer

from harness.data.dataset import Count, DataError, Labelled
from harness.data.folder import ClassFolders
from harness.data.listed import Part
from harness.files import at_home
from harness.source import MissingError
from harness.spec import is_identity

CLASSES, TRAIN, TEST = 1000, 1_281_167, 50_000


class ImageNet(ClassFolders):
    """ImageNet (Russakovsky et al. 2015): train/CLASS/*.JPEG, and its validation images as val/CLASS/*.JPEG.

    The published validation images are the test images here; validation is cut from the training images.
    """

    name: Literal["imagenet"] = "imagenet"
    path: str = "imagenet"
    """Below the data root, unless it is absolute."""
    validation: Count = 50_000
    flip: bool = True
    stream: bool = True

    @field_serializer("path")
    def _place(self, path: str, info: FieldSerializationInfo) -> str:
        return "" if is_identity(info) else path  # the name says what it holds

    @property
    def classes(self) -> int:
        return CLASSES

    @property
    def pool(self) -> int:
        return TRAIN

    def pinned(self, beside: Path | None) -> Self:
        return self  # a study may be checked and shown where the images are not

    def training_images(self, root: Path) -> Labelled:
        return self._below(root)._images("train", root)

    def test_images(self, root: Path) -> Labelled:
        return self._below(root)._images("test", root)

    def files(self, root: Path) -> list[Path]:
        return []  # too large to be sent: it lies on every machine

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        return self.model_copy(update={"path": str(root / Path(self.path).expanduser())})

    def _below(self, root: Path) -> Self:
        place = root / at_home(self.path)
        if not place.is_dir():
            raise MissingError(
                f"imagenet is not in {place}: unpack ILSVRC 2012 there as train/CLASS/*.JPEG and val/CLASS/*.JPEG (it "
                f"is downloaded with an account of image-net.org), or name another folder with `path` or --data-root"
            )
        found = self.model_copy(update={"path": str(place)})
        counts: dict[Part, int] = {"train": TRAIN, "test": TEST}
        for part, count in counts.items():
            listed = found.listing(part)
            if len(listed.labels) != count or len(listed.classes) != CLASSES:
                raise DataError(
                    f"{listed.place} holds {len(listed.labels):,} images in {len(listed.classes):,} classes, and the "
                    f"published set has {count:,} in {CLASSES:,}; unpack it again, or call it `folder`"
                )
        return found
