"""Scikit-learn's 1,797 handwritten digits of 8×8 pixels: real data that needs no download."""

from __future__ import annotations

from importlib.util import find_spec
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
    images, labels = _shipped()
    pixels = np.round(images * (255 / 16)).astype(np.uint8)[:, None]
    # Neighbours share a writer, so the order is shuffled; this seed is part of what the data set is.
    order = np.random.RandomState(1797).permutation(TOTAL)[part]
    return Images(pixels[order], labels[order])


def _shipped() -> tuple[np.ndarray, np.ndarray]:
    """Brightness from 0 to 16, (n, 8, 8), and labels, (n,), as `sklearn.datasets.load_digits` has them.

    Read past it where the file is at its place: importing it takes each process one to three seconds, and 90 MB.
    """
    found = find_spec("sklearn")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if file and file.is_file():
        rows = np.loadtxt(file, delimiter=",")
        return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    content = load_digits()
    return content.images, content.target
