"""MNIST and Fashion-MNIST: 70,000 grey images of 28×28, from IDX files on disk or through torchvision.

Each of the four files is looked for, plain or gzipped, in `folder` if one is named, else in torchvision's
place under the data root (`FashionMNIST/raw`), then where Debian's package puts it. A file's content must
have the SHA-256 of the published one, wherever it was found.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FieldSerializationInfo, field_serializer

from harness.data.dataset import Count, DataError, Dataset, Images, Shift
from harness.data.download import downloaded
from harness.files import at_home
from harness.source import MissingError
from harness.spec import is_identity

UBYTE = 0x08
"""IDX's code for unsigned bytes, the only type that these files use."""


def read_idx(content: bytes, file: str) -> NDArray[np.uint8]:
    """The array of an IDX file: two zero bytes, type, rank, the sizes as big-endian 32-bit numbers, then the values.

    Source: LeCun, "The MNIST database". Raises `DataError` for anything else.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, UBYTE]):
        raise DataError(f"{file} is no IDX file of unsigned bytes; get it again")
    rank = content[3]
    begin = 4 + 4 * rank
    sizes = tuple(int.from_bytes(content[start : start + 4], "big") for start in range(4, begin, 4))
    if len(content) != begin + math.prod(sizes) or len(content) < begin:
        raise DataError(f"{file} says that it holds {sizes} bytes, and holds {len(content) - begin}; get it again")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(sizes)


class _Idx(Dataset):
    _torchvision: ClassVar[str]
    _folders: ClassVar[tuple[str, ...]] = ()
    """Where else the files may be on this machine."""
    _digests: ClassVar[dict[str, str]]
    """File → SHA-256 of its content, unpacked."""
    _remedy: ClassVar[str]

    validation: Count = 5000
    shift: Shift = 2
    folder: str | None = Field(default=None, min_length=1)
    """A folder with the four IDX files, gzipped or not; found or downloaded where it is not said."""

    @field_serializer("folder")
    def _place(self, folder: str | None, info: FieldSerializationInfo) -> str | None:
        return None if is_identity(info) else folder  # the content is the published one, wherever it lies

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 28, 28

    @property
    def classes(self) -> int:
        return 10

    @property
    def pool(self) -> int:
        return 60_000

    def training_images(self, root: Path) -> Images:
        return self._images(root, "train")

    def test_images(self, root: Path) -> Images:
        return self._images(root, "t10k")

    def files(self, root: Path) -> list[Path]:
        return [path for file in self._digests if (path := self._found(file, root))]

    def moved(self, root: Path, place: Callable[[Path], Path]) -> Self:
        return self.model_copy(update={"folder": str(place(self.files(root)[0].parent))})

    def _images(self, root: Path, part: Literal["train", "t10k"]) -> Images:
        pixels = self._read(f"{part}-images-idx3-ubyte", root)
        labels = self._read(f"{part}-labels-idx1-ubyte", root)
        return Images(pixels[:, None], labels.astype(np.int64))

    def _read(self, file: str, root: Path) -> NDArray[np.uint8]:
        path = self._found(file, root)
        if path is None and self.folder:
            raise MissingError(
                f"{self.name} has no {file} or {file}.gz in {self.folder}; correct `folder`, or leave it out to have "
                f"the files found or downloaded (into --data-root, now {root})"
            )
        if path is None:
            downloaded(self.name, root, lambda: self._download(root), self._remedy.format(root=root))
            path = self._found(file, root)
        if path is None:
            raise MissingError(f"{self.name} was downloaded without {file}; remove {root} and try again")
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{self.name}: {path} is damaged ({error}); remove it and try again") from error
        if hashlib.sha256(content).hexdigest() != self._digests[file]:
            raise DataError(
                f"{self.name}: {path} has another content than the published file (SHA-256); "
                f"remove it, or name another folder with `folder` or --data-root"
            )
        return read_idx(content, str(path))

    def _found(self, file: str, root: Path) -> Path | None:
        paths = (path for folder in self._places(root) for path in (folder / file, folder / f"{file}.gz"))
        return next((path for path in paths if path.is_file()), None)

    def _places(self, root: Path) -> Iterator[Path]:
        if self.folder:
            yield at_home(self.folder)
            return
        yield root / self._torchvision / "raw"
        yield from map(Path, self._folders)

    def _download(self, root: Path) -> None:
        from torchvision import datasets

        kind: Any = getattr(datasets, self._torchvision)
        kind(root, download=True)


class Mnist(_Idx):
    """MNIST (LeCun et al. 1998): 60,000 + 10,000 handwritten digits in 10 classes."""

    _torchvision = "MNIST"
    _digests: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    _remedy = "put the four IDX files in {root}/MNIST/raw, or name their folder with `folder`"

    name: Literal["mnist"] = "mnist"
    flip: bool = False


class FashionMnist(_Idx):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 articles of clothing in 10 classes."""

    _torchvision = "FashionMNIST"
    _folders = ("/usr/share/datasets/fashion-mnist",)  # Debian's package dataset-fashion-mnist
    _digests: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    _remedy = (
        "`apt install dataset-fashion-mnist`, put the four IDX files in {root}/FashionMNIST/raw, "
        "or name their folder with `folder`"
    )

    name: Literal["fashion_mnist"] = "fashion_mnist"
    flip: bool = True
