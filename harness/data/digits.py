"""Scikit-learn's 1,797 handwritten digits of 8×8 pixels: real data that needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from harness.data.dataset import Count, Dataset, Images, Shift

TEST = 997
TOTAL = 1797


class Digits(Dataset):
    """Grey 8×8 digits in 10 classes; 997 of them, picked once and for all, are the test images.

    Source: UCI "Optical Recognition of Handwritten Digits", test part, as scikit-learn ships it.
    """

    name: Literal["digits"] = "digits"
    validation: Count = 400
    shift: Shift = 1
    flip: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 8, 8

    @property
    def classes(self) -> int:
        return 10

    @property
    def pool(self) -> int:
        return TOTAL - TEST

    def training_images(self, root: Path) -> Images:
        return _digits(slice(TEST, None))

    def test_images(self, root: Path) -> Images:
        return _digits(slice(TEST))


def _digits(part: slice) -> Images:
    from sklearn.datasets import load_digits  # 90 MB that other data sets need not have

    content = load_digits()
    pixels = np.round(content.images * (255 / 16)).astype(np.uint8)[:, None]
    # Neighbours share a writer, so the order is shuffled; this seed is part of what the data set is.
    order = np.random.RandomState(1797).permutation(TOTAL)[part]
    return Images(pixels[order], content.target[order].astype(np.int64))
