"""Splits: training and validation for everyone, the test images for a confirmation alone.

`Splits` has no test images, so search cannot leak what it does not hold. `open_test` demands a
`Warrant`, and a warrant is issued to a trial whose purpose is confirmation and to no other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data.dataset import Dataset, Images
from harness.record import Purpose


@dataclass(frozen=True)
class Splits:
    """What a search may see of a data set."""

    train: Images
    validation: Images
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
    """Training and validation images, cut from the pool by the study's `split_seed`.

    Raises `MissingError` where the images cannot be had and `ValueError` where the pool is too small.
    """
    pool = data.training_images(root)
    if data.shortage:
        raise ValueError(data.shortage)
    if len(pool) != data.pool:
        raise ValueError(f"{data.name} says that it has {data.pool} images beside its test images, and has {len(pool)}")
    order = np.random.RandomState(data.split_seed).permutation(len(pool))
    validation, rest = order[: data.validation], order[data.validation :]
    return Splits(pool.taken(rest[: data.train_count]), pool.taken(validation), _fingerprint(pool, data))


def _fingerprint(pool: Images, data: Dataset) -> str:
    """SHA-256 of the images and of the settings that cut and augment them: what makes rows comparable."""
    return hashlib.sha256(f"{pool.fingerprint} {data.id}".encode()).hexdigest()


def open_test(data: Dataset, root: Path, warrant: Warrant) -> Images:
    """The test images, for the confirmation that the warrant was given to."""
    if not isinstance(warrant, Warrant):
        raise TestSplitSealedError("the test split opens to a Warrant alone")
    return data.test_images(root)
