"""Streamed data: large images read from disk when they are wanted, decoded and cropped in worker processes.

Training sees random resized crops, mirrored at random; evaluation the middle of the resized image (He et
al. 2016, as torchvision's references do it). A crop follows from the image's own seed for the epoch, so
that neither the number of workers nor a resumption changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from harness.data.dataset import DataError
from harness.data.encoded import Encoded, decoded
from harness.data.listed import ListedDataset
from harness.data.served import Batch, Standard, batch_count, standard
from harness.data.splits import Splits

CHUNK = 128
"""Images of an evaluation's chunk: 77 MB at 224×224."""
MEASURED = 1024
"""Training images, a drawn sample, whose mean and spread stand for all where the study names none."""

Request = tuple[int, int, int | None]
"""Part, image, and the seed of its crop; None for the middle."""


@dataclass(frozen=True)
class StreamedSplit:
    """Images that are read when they are asked for."""

    loader: Loader
    part: int
    labels: Tensor
    standard: Standard

    def __len__(self) -> int:
        return len(self.labels)

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The middles of the images, standardised, with labels, in order."""
        parts = torch.arange(len(self)).split(CHUNK)
        requests = (_middles(self.part, part) for part in parts)
        for labels, pixels in zip(self.labels.split(CHUNK), self.loader(requests), strict=True):
            yield self.standard(pixels.to(labels.device)), labels


@dataclass(frozen=True)
class StreamedData:
    """A data set's training and validation splits, read by the same workers."""

    train: StreamedSplit
    validation: StreamedSplit
    fingerprint: str

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in a drawn order and drawn crops; a last batch of one image is left out."""
        train = self.train
        order = torch.randperm(len(train), generator=generator)
        seeds = torch.randint(2**62, (len(train),), generator=generator)
        parts = order.split(size)[: self.batch_count(size)]
        requests = (_crops(part, seeds) for part in parts)
        for part, pixels in zip(parts, train.loader(requests), strict=True):
            indices = part.to(train.labels.device)
            yield Batch(indices, None, train.standard(pixels.to(indices.device)), train.labels[indices])

    def batch_count(self, size: int) -> int:
        """How many batches an epoch has."""
        return batch_count(len(self.train), size)


def streamed(splits: Splits, data: ListedDataset, device: torch.device) -> StreamedData:
    """Readies training and validation; workers start with the first images that are asked for."""
    parts = [_encoded(splits.train), _encoded(splits.validation)]
    loader = Loader(parts, data)
    settled = standard(data, *_measured(loader, len(parts[0]), data), device)
    train, validation = (
        StreamedSplit(loader, number, torch.from_numpy(part.labels).to(device), settled)
        for number, part in enumerate(parts)
    )
    return StreamedData(train, validation, splits.fingerprint)


def streamed_split(images: Encoded, data: ListedDataset, standard: Standard, device: torch.device) -> StreamedSplit:
    """Some other images of the data set, standardised as training is."""
    return StreamedSplit(Loader([images], data), 0, torch.from_numpy(images.labels).to(device), standard)


def _middles(part: int, indices: Tensor) -> list[Request]:
    return [(part, int(index), None) for index in indices]


def _crops(indices: Tensor, seeds: Tensor) -> list[Request]:
    return [(0, int(index), int(seeds[index])) for index in indices]


def _encoded(images: object) -> Encoded:
    if not isinstance(images, Encoded):
        raise TypeError("only encoded images can be streamed")
    return images


def _measured(loader: Loader, count: int, data: ListedDataset) -> tuple[Tensor, Tensor]:
    """Mean and spread (c,) in pixels of the first training images, a drawn sample; blanks where both are named."""
    if data.mean and data.spread:
        return torch.zeros(len(data.mean)), torch.ones(len(data.spread))
    parts = torch.arange(min(count, MEASURED)).split(CHUNK)
    pixels = torch.cat(list(loader(_middles(0, part) for part in parts)))
    spread, mean = torch.std_mean(pixels.double(), dim=(0, 2, 3))
    return mean, spread


class Loader:
    """Decodes what is asked for, in worker processes that start with the first request and stay for the next."""

    def __init__(self, parts: Sequence[Encoded], data: ListedDataset) -> None:
        self._pending: Iterable[list[Request]] = ()
        self._loader: DataLoader[Tensor] = DataLoader(
            _Decoder(parts, data.shape[0], data.resize, data.crop, data.flip),  # type: ignore[arg-type]
            batch_sampler=_Requests(self),
            collate_fn=_as_it_is,
            num_workers=data.workers,
            persistent_workers=data.workers > 0,
            # A fork would copy the locks of threads that are not there any more, Ray's and OpenMP's among them.
            multiprocessing_context="spawn" if data.workers else None,
            generator=torch.Generator(),  # it draws a number for the workers, and not from the trial's stream
        )

    def __call__(self, requests: Iterable[list[Request]]) -> Iterator[Tensor]:
        """uint8 (n, c, crop, crop) for each list of requests, in order; raises `DataError` for a bad image."""
        self._pending = requests
        for answer in self._loader:
            if isinstance(answer, DataError):
                raise answer
            yield answer

    @property
    def pending(self) -> Iterable[list[Request]]:
        """What was asked for last."""
        return self._pending


class _Requests:
    """The loader's requests, as torch wants to be told of them."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[list[Request]]:
        return iter(self.loader.pending)


class _Decoder:
    """What a worker does: reads, decodes and crops images."""

    def __init__(self, parts: Sequence[Encoded], channels: int, resize: int, crop: int, flip: bool) -> None:
        self.parts, self.channels, self.resize, self.crop, self.flip = parts, channels, resize, crop, flip

    def __getitems__(self, requests: list[Request]) -> Tensor | DataError:
        """A batch, or why there is none: torch would wrap an exception in its worker's traceback."""
        try:
            return torch.stack([self._view(*request) for request in requests])
        except DataError as error:
            return error

    def _view(self, part: int, index: int, seed: int | None) -> Tensor:
        from torchvision.transforms import v2
        from torchvision.transforms.v2 import functional as F

        images = self.parts[part]
        pixels = decoded(images.content(index), images.where(index), self.channels)
        if seed is None:
            middle: Tensor = F.center_crop(F.resize(pixels, [self.resize], antialias=True), [self.crop, self.crop])
            return middle
        with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own stream
            torch.default_generator.manual_seed(seed)
            view: Tensor = v2.RandomResizedCrop(self.crop, antialias=True)(pixels)
            if self.flip and torch.rand(()) < 0.5:
                view = F.horizontal_flip(view)
        return view.contiguous()


def _as_it_is(answer: Any) -> Any:
    return answer
