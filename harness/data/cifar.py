"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32×32, read through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.data.dataset import Count, Dataset, Images, Shift
from harness.data.download import downloaded


class _Cifar(Dataset):
    validation: Count = 5000
    shift: Shift = 4
    flip: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, 32, 32

    @property
    def pool(self) -> int:
        return 50_000

    def training_images(self, root: Path) -> Images:
        return self._images(root, train=True)

    def test_images(self, root: Path) -> Images:
        return self._images(root, train=False)

    def files(self, root: Path) -> list[Path]:
        return sorted((root / self._kind.base_folder).iterdir())

    @property
    def _kind(self) -> Any:
        from torchvision import datasets

        return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[self.name]

    def _images(self, root: Path, train: bool) -> Images:
        kind = self._kind
        content = downloaded(
            self.name,
            root,
            lambda: kind(root, train=train, download=True),
            f"put the official {kind.filename} in {root}",
        )
        pixels = np.ascontiguousarray(np.asarray(content.data, dtype=np.uint8).transpose(0, 3, 1, 2))
        return Images(pixels, np.asarray(content.targets, dtype=np.int64))


class Cifar10(_Cifar):
    """CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 images in 10 classes."""

    name: Literal["cifar10"] = "cifar10"

    @property
    def classes(self) -> int:
        return 10


class Cifar100(_Cifar):
    """CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 images in 100 fine classes."""

    name: Literal["cifar100"] = "cifar100"

    @property
    def classes(self) -> int:
        return 100
