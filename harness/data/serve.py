"""Serving: small images live decoded on the device, large ones are streamed; a trial cannot tell."""

from __future__ import annotations

import torch

from harness.data.dataset import Dataset, Images, Labelled
from harness.data.encoded import Encoded
from harness.data.listed import ListedDataset
from harness.data.resident import on_device, resident
from harness.data.served import Split, Standard, TrialData
from harness.data.splits import Splits
from harness.data.streamed import streamed, streamed_split


def serve(splits: Splits, data: Dataset, device: torch.device) -> TrialData:
    """Training and validation for trials on a device."""
    if isinstance(data, ListedDataset) and data.stream:
        return streamed(splits, data, device)
    return resident(splits, data, device)


def serve_split(images: Labelled, data: Dataset, standard: Standard, device: torch.device) -> Split:
    """Other images of the same data set, standardised as training is."""
    if isinstance(images, Encoded) and isinstance(data, ListedDataset):
        return streamed_split(images, data, standard, device)
    if not isinstance(images, Images):
        raise TypeError("images are decoded, or encoded ones of a data set that streams")
    return on_device(images, standard, device)
