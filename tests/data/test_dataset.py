"""Images check themselves, and their fingerprint is of every pixel and label."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from harness.data.cifar import Cifar100
from harness.data.dataset import Images
from harness.data.digits import Digits


def images() -> Images:
    return Images(np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4), np.array([0, 1]))


def test_a_fingerprint_changes_with_a_pixel_a_label_the_order_and_the_shape() -> None:
    known = images().fingerprint
    assert images().fingerprint == known
    pixel = images()
    pixel.pixels[1, 2, 3, 3] ^= 1
    others = [
        pixel,
        Images(images().pixels, np.array([0, 2])),
        images().taken(np.array([1, 0])),
        Images(images().pixels.reshape(2, 4, 3, 4), np.array([0, 1])),
    ]
    assert len({known, *(other.fingerprint for other in others)}) == 5


def test_a_fingerprint_does_not_depend_on_the_layout_in_memory() -> None:
    turned = np.ascontiguousarray(images().pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not turned.flags.c_contiguous
    assert Images(turned, np.array([0, 1])).fingerprint == images().fingerprint


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64)),
    ],
)
def test_what_is_no_labelled_image_is_refused(pixels: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images are uint8 of shape"):
        Images(pixels, labels)


@pytest.mark.parametrize("kind", [Digits, Cifar100])
@pytest.mark.parametrize(
    "wrong", [{"validation": 0}, {"shift": -1}, {"shift": 17}, {"train": 1}, {"split_seed": -1}, {"validation": True}]
)
def test_the_bounds_hold_for_every_data_set(kind: type[Digits], wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        kind(**wrong)
