"""SVHN: 99,289 colour images of house numbers, 32×32, read through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from harness.data.dataset import Count, Dataset, Images, Shift
from harness.data.download import downloaded


class Svhn(Dataset):
    """SVHN (Netzer et al. 2011): 73,257 + 26,032 cropped house-number digits, without the `extra` images."""

    name: Literal["svhn"] = "svhn"
    validation: Count = 5000
    shift: Shift = 4
    flip: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, 32, 32

    @property
    def classes(self) -> int:
        return 10

    @property
    def pool(self) -> int:
        return 73_257

    def training_images(self, root: Path) -> Images:
        return self._images(root, "train")

    def test_images(self, root: Path) -> Images:
        return self._images(root, "test")

    def files(self, root: Path) -> list[Path]:
        return [root / "train_32x32.mat", root / "test_32x32.mat"]

    def _images(self, root: Path, part: Literal["train", "test"]) -> Images:
        from torchvision.datasets import SVHN

        remedy = f"put the official train_32x32.mat and test_32x32.mat in {root}"
        content = downloaded(self.name, root, lambda: SVHN(root, split=part, download=True), remedy)
        return Images(np.ascontiguousarray(content.data), np.asarray(content.labels, dtype=np.int64))
