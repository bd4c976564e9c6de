"""Resident data: a whole split as uint8 tensors on the device, served in seeded batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.data.augment import Views, padded, random_views, seen
from harness.data.dataset import Dataset, Images
from harness.data.served import Batch, Standard, batch_count, standard
from harness.data.splits import Splits


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
        order, views = self.drawn(generator)
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            if len(order[part]) > 1:
                yield self.batch(order[part], views[part])

    def drawn(self, generator: torch.Generator) -> tuple[Tensor, Views]:
        """One epoch's order of the images, and the view of each."""
        count, device = len(self.train), self.train.labels.device
        order = torch.randperm(count, generator=generator).to(device)
        views = random_views(count, self.shift, self.flip, generator)
        return order, views.each(lambda tensor: tensor.to(device))

    def batch(self, indices: Tensor, views: Views) -> Batch:
        """Some views of some images."""
        pixels = seen(self.bordered, indices, views, self.shift)
        return Batch(indices, views, self.train.standard(pixels), self.train.labels[indices])

    def batch_count(self, size: int) -> int:
        """How many batches an epoch has."""
        return batch_count(len(self.train), size)


def resident(splits: Splits, data: Dataset, device: torch.device) -> ResidentData:
    """Puts training and validation on the device, standardised by `mean` and `spread` or the training split's own."""
    if not (isinstance(splits.train, Images) and isinstance(splits.validation, Images)):
        raise TypeError("only decoded images can be resident")
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


def on_device(images: Images, standard: Standard, device: torch.device) -> ResidentSplit:
    """A split on the device, to be standardised as training was."""
    pixels = np.require(
        images.pixels, requirements="W"
    )  # torch warns of memory that cannot be written, such as a file's
    return ResidentSplit(torch.from_numpy(pixels).to(device), torch.from_numpy(images.labels).to(device), standard)
