"""What the frozen teacher says of a batch: asked at every step, or remembered.

The teacher never changes and an image has few views, so where all of its answers fit into memory they
are computed once for every view and looked up by (image, dy, dx, mirrored). On digits this makes a
teacher nearly free: 9 views of 400 images against 60 epochs of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from harness.data.augment import Views, seen
from harness.data.resident import ResidentData
from harness.data.served import Batch, TrialData
from harness.distill.method import Method, Parts, Targets
from harness.models.taps import Tapped

LIMIT = 64 * 2**20
"""Bytes that one table of remembered answers may take; what is larger is asked at every step."""

CHUNK = 400
"""Images a pass when answers are remembered: fixed, since another batch size rounds differently."""


class Answers(ABC):
    """The teacher's targets for training batches."""

    @abstractmethod
    def of(self, batch: Batch) -> Targets:
        """Targets of a batch's views; no gradient flows into them."""

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return 0

    @property
    def sees_images(self) -> bool:
        """Whether it looks at the images themselves, and not only at which they are."""
        return True


class Nothing(Answers):
    """For methods without a teacher."""

    def of(self, batch: Batch) -> Targets:
        return {}


class Asked(Answers):
    """Runs the teacher on every batch."""

    def __init__(self, network: Tapped, method: Method, parts: Parts, precision: torch.autocast) -> None:
        self.network, self.method, self.parts, self.precision = network, method, parts, precision

    @torch.no_grad()
    def of(self, batch: Batch) -> Targets:
        with self.precision:
            said = self.network(batch.images)
        return self.method.targets(said.each(Tensor.float), self.parts)


class Remembered(Answers):
    """Looks the answers up in tables of shape (images, views, …)."""

    def __init__(self, tables: Targets, data: ResidentData) -> None:
        self.tables, self.data = tables, data

    def of(self, batch: Batch) -> Targets:
        assert batch.views is not None
        view = view_number(batch.views, self.data)
        return {name: table[batch.indices, view] for name, table in self.tables.items()}

    @property
    def size(self) -> int:
        return sum(table.numel() * table.element_size() for table in self.tables.values())


def view_number(views: Views, data: ResidentData) -> Tensor:
    """A number for each view, from 0 to `view_count` − 1."""
    across = 2 * data.shift + 1
    return (views.mirrored.long() * across + views.dy) * across + views.dx


def view_count(data: ResidentData) -> int:
    """How many views an image has."""
    return (2 * data.shift + 1) ** 2 * (2 if data.flip else 1)


def answers(
    network: Tapped, method: Method, parts: Parts, data: TrialData, precision: torch.autocast, epochs: int
) -> Answers:
    """Remembered answers where they fit and a trial asks more often than there are views, else a teacher that is asked.

    Of `parts`, targets need the pairing and the teacher's part.
    """
    asked = Asked(network, method, parts, precision)
    if not isinstance(data, ResidentData) or view_count(data) > epochs:
        return asked
    sample = asked.of(_view(data, 0, torch.arange(2)))
    a_view = sum(table[0].numel() * table.element_size() for table in sample.values())
    if a_view * len(data.train) * view_count(data) > LIMIT:
        return asked
    columns = []
    for number in range(view_count(data)):
        pieces = [asked.of(_view(data, number, part)) for part in torch.arange(len(data.train)).split(CHUNK)]
        columns.append({name: torch.cat([piece[name] for piece in pieces]) for name in sample})
    return Remembered({name: torch.stack([column[name] for column in columns], dim=1) for name in sample}, data)


def _view(data: ResidentData, number: int, indices: Tensor) -> Batch:
    device = data.train.pixels.device
    across = 2 * data.shift + 1
    indices = indices.to(device)
    one = torch.ones_like(indices)
    views = Views(one * (number // across % across), one * (number % across), (one * (number // across**2)).bool())
    pixels = seen(data.bordered, indices, views, data.shift)
    return Batch(indices, views, data.train.standard(pixels), data.train.labels[indices])
