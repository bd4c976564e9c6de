"""Splits: training and validation for everyone, the test images for a confirmation alone.

`Splits` has no test images, so search cannot leak what it does not hold. `open_test` demands a
`Warrant`, and a warrant is issued to a trial whose purpose is confirmation and to no other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import DataError, Dataset, Labelled
from harness.record import Purpose


@dataclass(frozen=True)
class Splits:
    """What a search may see of a data set."""

    train: Labelled
    validation: Labelled
    fingerprint: str
    """Of all images but the test images, and of how they are cut and augmented."""


class TestSplitSealedError(Exception):
    """Something other than a confirmation asked for the test images."""

    __test__ = False  # no test class, whatever pytest makes of its name


@dataclass(frozen=True)
class Warrant:
    """Leave to open the test split, given by what the trial is for."""

    trial_id: str
    purpose: Purpose

    def __post_init__(self) -> None:
        if self.purpose != "confirmation":
            raise TestSplitSealedError(
                f"trial {self.trial_id} is a {self.purpose} trial; only a confirmation may read the test split"
            )


def cut(data: Dataset, root: Path) -> Splits:
    """Training and validation images, cut from the pool by the study's `split_seed`, classes in the pool's shares.

    Raises `MissingError` where the images cannot be had and `DataError` where they cannot be cut as asked.
    """
    pool = data.training_images(root)
    if data.shortage:
        raise DataError(data.shortage)
    if len(pool) != data.pool:
        raise DataError(f"{data.name} says that it has {data.pool} images beside its test images, and has {len(pool)}")
    train, validation = parts(data, pool.labels)
    return Splits(pool.taken(train), pool.taken(validation), _fingerprint(pool, data))


def parts(data: Dataset, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices into the pool of the training and of the validation images.

    Raises `DataError` where a class would be missing from one of the two.
    """
    order = stratified_order(labels, data.split_seed)
    validation, train = order[: data.validation], order[data.validation :][: data.train_count]
    for setting, indices in (("validation", validation), ("train", train)):
        counts = np.bincount(labels[indices], minlength=data.classes)
        if not counts.all():
            raise DataError(
                f"{data.name}: class {int(counts.argmin())} has no image among the {len(indices)} of `{setting}`; "
                f"it has {int((labels == counts.argmin()).sum())} in all, so ask for more or give it more images"
            )
    return train, validation


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A drawn order in which any run of neighbours has each class in its share, to within one image.

    So a smaller training set is the beginning of a larger one, and validation does not depend on `train`, neither
    of which holds for scikit-learn's `train_test_split(stratify=…)`.
    """
    order = np.random.RandomState(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        where = np.flatnonzero(labels[order] == label)
        place[where] = (np.arange(len(where)) + 0.5) / len(where)
    return order[np.argsort(place, kind="stable")]


def _fingerprint(pool: Labelled, data: Dataset) -> str:
    """SHA-256 of the images and of the settings that cut and augment them: what makes rows comparable."""
    return hashlib.sha256(f"{pool.fingerprint} {data.id}".encode()).hexdigest()


def open_test(data: Dataset, root: Path, warrant: Warrant) -> Labelled:
    """The test images, for the confirmation that the warrant was given to."""
    if not isinstance(warrant, Warrant):
        raise TestSplitSealedError("the test split opens to a Warrant alone")
    return data.test_images(root)
