"""Resident data: a whole split as uint8 tensors on the device, served in seeded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.data.augment import Views, padded, random_views, seen
from harness.data.dataset import DataError, Dataset, Images
from harness.data.splits import Splits


@dataclass(frozen=True)
class Standard:
    """Per-channel mean and spread of the training images, in pixels; shape (c, 1, 1)."""

    mean: Tensor
    spread: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (n, c, h, w) → float32 of mean 0 and spread 1 over the training images."""
        return (pixels.float() - self.mean) / self.spread


@dataclass(frozen=True)
class Batch:
    """A training batch: its images are made from the views when a network is to see them."""

    indices: Tensor
    views: Views
    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ResidentSplit:
    """Images and labels on the device; `pixels` is uint8 (n, c, h, w)."""

    pixels: Tensor
    labels: Tensor
    standard: Standard

    def __len__(self) -> int:
        return len(self.labels)

    def chunks(self, size: int = 1024) -> Iterator[tuple[Tensor, Tensor]]:
        """Unmoved images, standardised, with labels, in order: for evaluation."""
        for pixels, labels in zip(self.pixels.split(size), self.labels.split(size), strict=True):
            yield self.standard(pixels), labels


@dataclass(frozen=True)
class ResidentData:
    """A data set's training and validation splits on one device."""

    train: ResidentSplit
    validation: ResidentSplit
    bordered: Tensor
    """The training pixels with a border of `shift` zeros."""
    shift: int
    flip: bool
    fingerprint: str

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in a drawn order and drawn views; a last batch of one image is left out.

        Batch normalisation of a vector has no spread to divide by in a batch of one.
        """
        count, device = len(self.train), self.train.pixels.device
        order = torch.randperm(count, generator=generator).to(device)
        views = random_views(count, self.shift, self.flip, generator).to(device)
        for start in range(0, count, size):
            part = slice(start, start + size)
            indices = order[part]
            if len(indices) > 1:
                pixels = seen(self.bordered, indices, views[part], self.shift)
                yield Batch(indices, views[part], self.train.standard(pixels), self.train.labels[indices])


def resident(splits: Splits, data: Dataset, device: torch.device) -> ResidentData:
    """Puts training and validation on the device, standardised by `mean` and `spread` or the training split's own."""
    pixels = torch.from_numpy(splits.train.pixels)
    spread, mean = torch.std_mean(pixels.double(), dim=(0, 2, 3))
    train = on_device(splits.train, standard(data, mean, spread, device), device)
    return ResidentData(
        train=train,
        validation=on_device(splits.validation, train.standard, device),
        bordered=padded(train.pixels, data.shift),
        shift=data.shift,
        flip=data.flip,
        fingerprint=splits.fingerprint,
    )


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


def on_device(images: Images, standard: Standard, device: torch.device) -> ResidentSplit:
    """A split on the device, to be standardised as training was."""
    pixels = np.require(
        images.pixels, requirements="W"
    )  # torch warns of memory that cannot be written, such as a file's
    return ResidentSplit(torch.from_numpy(pixels).to(device), torch.from_numpy(images.labels).to(device), standard)
