"""The digits: real data in this package, the same test images for everyone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from harness.data import digits
from harness.data.dataset import DataError, Images
from harness.data.digits import Digits
from harness.data.splits import Warrant, cut, open_test

NOWHERE = Path("/nowhere")
WARRANT = Warrant("t", "confirmation")


def rows(images: Images) -> set[bytes]:
    return {image.tobytes() + label.tobytes() for image, label in zip(images.pixels, images.labels, strict=True)}


def test_sizes_are_400_400_and_997() -> None:
    splits = cut(Digits(), NOWHERE)
    assert (len(splits.train), len(splits.validation), len(open_test(Digits(), NOWHERE, WARRANT))) == (400, 400, 997)
    assert splits.train.pixels.shape == (400, 1, 8, 8)


def test_no_image_is_in_two_splits() -> None:
    splits, test = cut(Digits(), NOWHERE), open_test(Digits(), NOWHERE, WARRANT)
    parts = [rows(splits.train), rows(splits.validation), rows(test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 1797  # all of scikit-learn's, each once


def test_every_class_is_in_every_split() -> None:
    splits, test = cut(Digits(), NOWHERE), open_test(Digits(), NOWHERE, WARRANT)
    for images in (splits.train, splits.validation, test):
        assert len(np.bincount(images.labels)) == 10
    pool = np.bincount(np.concatenate([splits.train.labels, splits.validation.labels]))
    for images in (splits.train, splits.validation):  # half of 800 each: half of every class, to within one image
        assert np.abs(np.bincount(images.labels) - pool / 2).max() <= 1


def test_pixels_fill_the_range_of_a_byte() -> None:
    pixels = cut(Digits(), NOWHERE).train.pixels
    assert (pixels.min(), pixels.max(), len(np.unique(pixels))) == (0, 255, 17)


@pytest.mark.parametrize("is_found", [True, False])
def test_they_are_scikit_learns_wherever_its_file_is(is_found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_found:
        monkeypatch.setattr(digits, "find_spec", lambda name: None)
    images, labels = digits._shipped()
    expected = load_digits()
    assert np.array_equal(images, expected.images)
    assert np.array_equal(labels, expected.target)
    assert labels.dtype == expected.target.dtype == np.int64


def test_reading_them_imports_no_scikit_learn() -> None:
    read = "import sys; from harness.data.digits import Digits; Digits().training_images(None); "
    line = [sys.executable, "-c", read + "sys.exit('sklearn' in sys.modules)"]
    assert subprocess.run(line, cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_the_test_images_are_the_same_for_every_split_seed() -> None:
    first, other = (open_test(Digits(split_seed=seed), NOWHERE, WARRANT).fingerprint for seed in (0, 1))
    assert first == other == "17d741a158fe03fb52c9f52635e014bcdfbf894a9899297679d9786ca2fcaef6"


def test_the_cut_follows_the_split_seed_alone() -> None:
    first, again, other = (cut(Digits(split_seed=seed), NOWHERE) for seed in (0, 0, 1))
    assert first.validation.fingerprint == again.validation.fingerprint
    assert first.train.fingerprint == again.train.fingerprint
    assert first.validation.fingerprint != other.validation.fingerprint
    assert first.fingerprint == again.fingerprint != other.fingerprint  # rows of another cut are not comparable


def test_fewer_training_images_are_the_first_of_the_whole_and_leave_validation_alone() -> None:
    whole, part = cut(Digits(), NOWHERE), cut(Digits(train=100), NOWHERE)
    assert np.abs(np.bincount(part.train.labels) - np.bincount(whole.train.labels) / 4).max() <= 1
    assert np.array_equal(part.train.pixels, whole.train.pixels[:100])
    assert part.validation.fingerprint == whole.validation.fingerprint


@pytest.mark.parametrize("asked", [{"validation": 800}, {"validation": 799}, {"validation": 700, "train": 101}])
def test_more_images_than_there_are_is_refused(asked: dict[str, int]) -> None:
    with pytest.raises(DataError, match="digits has 800 images beside its test images"):
        cut(Digits(**asked), NOWHERE)


@pytest.mark.parametrize("asked", [{"validation": 9}, {"train": 9}, {"validation": 791}])
def test_fewer_images_than_classes_is_refused(asked: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"digits has 10 classes, and each needs an image.*; ask for more"):
        cut(Digits(**asked), NOWHERE)


def test_all_images_may_be_used() -> None:
    assert len(cut(Digits(validation=780), NOWHERE).train) == 20
