"""What a trial gets of a data set, wherever the images are: on the device as a whole, or streamed from disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.data.augment import Views
from harness.data.dataset import DataError, Dataset


@dataclass(frozen=True)
class Standard:
    """Per-channel mean and spread of the training images, in pixels; shape (c, 1, 1)."""

    mean: Tensor
    spread: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) → float32 of mean 0 and spread 1 over the training images."""
        return (pixels.float() - self.mean) / self.spread


def standard(data: Dataset, mean: Tensor, spread: Tensor, device: torch.device) -> Standard:
    """What images are standardised by: what the data set says, or else a mean and spread (c,) in pixels.

    Raises `DataError` where it says them for another number of channels.
    """
    if data.misfit:
        raise DataError(data.misfit)
    # A constant channel has no spread; one pixel stands in so that it becomes 0 instead of NaN.
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    settled = [
        torch.tensor(said, dtype=torch.float64) * 255 if said else measured
        for said, measured in ((data.mean, mean), (data.spread, spread))
    ]
    return Standard(*(values.float()[:, None, None].to(device) for values in settled))


@dataclass(frozen=True)
class Batch:
    """A training batch on the device: standardised images, with their numbers in the training split."""

    indices: Tensor
    views: Views | None
    """Which of its few views each image is; None where views are drawn from endlessly many."""
    images: Tensor
    labels: Tensor


class Split(Protocol):
    """Labelled images in a fixed order."""

    @property
    def labels(self) -> Tensor:
        """Shape (n,), on the device."""

    @property
    def standard(self) -> Standard:
        """What its images are standardised by."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The images as evaluation sees them, standardised, with labels, in order."""


class TrialData(Protocol):
    """A data set's training and validation splits."""

    @property
    def train(self) -> Split:
        """What is trained on."""

    @property
    def validation(self) -> Split:
        """What is looked at on the way."""

    @property
    def fingerprint(self) -> str:
        """Of the images, and of how they are cut and augmented."""

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in a drawn order and drawn views; a last batch of one image is left out.

        Batch normalisation of a vector has no spread to divide by in a batch of one.
        """

    def batch_count(self, size: int) -> int:
        """How many batches an epoch has."""


def batch_count(images: int, size: int) -> int:
    """Batches of `size`, the last one if it has more than one image."""
    return images // size + (images % size > 1)
