"""What the frozen teacher says of a batch: asked, looked up, or asked once and kept on disk for all who come.

    Asked        runs the teacher on every batch
    Remembered   all views of all images in memory: few views, small answers (digits: 9 views)
    Kept         a table on disk for every kind of answer, filled as views come up (CIFAR: 162 views)

An answer is a fact about (teacher, data, image, view), so trials of every method, student and seed share it: a
table belongs to what decides its numbers and to nothing else, and logits to the teacher alone. On a CPU all three give
the same bits: the teacher looks at images in passes of a multiple of `PASS`, since others may round differently. On a
GPU kernels are chosen by the size of a pass, and an answer that was kept may differ from a new one by rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from harness.data.augment import Views
from harness.data.resident import ResidentData
from harness.data.served import Batch, TrialData
from harness.distill.method import Method, Parts, Targets
from harness.models.taps import Tapped
from harness.train.tables import Layout, Table, is_half, taken

LIMIT = 64 * 2**20
"""Bytes that one table of remembered answers may take in memory."""

PASS = 16
"""A pass has a multiple of so many images (the last is repeated): fewer round differently (measured on ResNets)."""

CHUNK = 400
"""Images a pass when all views are asked for at once."""


class Answers(ABC):
    """The teacher's targets for training batches."""

    @abstractmethod
    def of(self, batch: Batch) -> Targets:
        """Targets of a batch's views; no gradient flows into them."""

    @property
    def size(self) -> int:
        """Bytes of memory that are kept."""
        return 0

    @property
    def sees_images(self) -> bool:
        """Whether it looks at the batch's images, and not only at which they are."""
        return False


class Nothing(Answers):
    """For methods without a teacher."""

    def of(self, batch: Batch) -> Targets:
        return {}


class Asked(Answers):
    """Runs the teacher on every batch."""

    def __init__(self, network: Tapped, method: Method, parts: Parts, precision: torch.autocast) -> None:
        self.network, self.method, self.parts, self.precision = network, method, parts, precision

    @property
    def sees_images(self) -> bool:
        return True

    @torch.no_grad()
    def of(self, batch: Batch) -> Targets:
        images = batch.images.contiguous()
        count = len(images)
        missing = -count % PASS
        if missing:
            images = torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])
        # A single channel is in every layout at once, and the kernels of another one would round differently.
        images = images.as_strided(images.shape, torch.empty(images.shape, device="meta").stride())
        with self.precision:
            said = self.network(images)
        return {
            name: target[:count] for name, target in self.method.targets(said.each(Tensor.float), self.parts).items()
        }


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


class Kept(Answers):
    """Looks the answers up on disk; asks for those that are not there yet, and keeps them."""

    def __init__(self, tables: dict[str, Table], asked: Asked, data: ResidentData) -> None:
        self.tables, self.asked, self.data = tables, asked, data

    def of(self, batch: Batch) -> Targets:
        assert batch.views is not None
        rows = (batch.indices * view_count(self.data) + view_number(batch.views, self.data)).cpu()
        read = {name: table.read(rows) for name, table in self.tables.items()}
        absent = ~torch.stack([there for _, there in read.values()]).all(dim=0)
        targets = {name: values.clone() for name, (values, _) in read.items()}
        if absent.any():
            # Members of a pack that share a seed look at one view together; it is asked for once.
            asked, which = rows[absent].unique(return_inverse=True)
            first = torch.empty_like(asked).scatter_(0, which, absent.nonzero()[:, 0])
            places = first.to(batch.indices.device)
            said = self.asked.of(self.data.batch(batch.indices[places], batch.views.each(lambda view: view[places])))
            for name, values in said.items():
                targets[name][absent] = values.cpu()[which]
                self.tables[name].write(asked, values.cpu())
        return {name: target.to(batch.indices.device, non_blocking=True) for name, target in targets.items()}

    def all(self) -> Targets:
        """Every answer, asked for where it is not there: tables of shape (images, views, …) in memory."""
        views, images = view_count(self.data), len(self.data.train)
        columns = [
            [self.of(_view(self.data, number, part)) for part in torch.arange(images).split(CHUNK)]
            for number in range(views)
        ]
        return {
            name: torch.stack([torch.cat([piece[name] for piece in column]) for column in columns], dim=1)
            for name in self.tables
        }


def view_number(views: Views, data: ResidentData) -> Tensor:
    """A number for each view, from 0 to `view_count` − 1."""
    across = 2 * data.shift + 1
    return (views.mirrored.long() * across + views.dy) * across + views.dx


def view_count(data: ResidentData) -> int:
    """How many views an image has."""
    return (2 * data.shift + 1) ** 2 * (2 if data.flip else 1)


def answers(asked: Asked, data: TrialData, epochs: int, place: Callable[[str], Path], budget: int) -> Answers:
    """What gives a trial its teacher's answers; none of the three changes a number.

    `place` says where the table of a kind of answer lies, `budget` how many bytes all tables there may take. In memory
    go tables that fit and whose every view a trial comes across; images that are streamed have no few views.
    """
    if not isinstance(data, ResidentData):
        return asked
    sample = asked.of(_view(data, 0, torch.arange(2)))
    rows = len(data.train) * view_count(data)
    layouts = {
        # What a network gives in bfloat16 takes half of the room; logits are, what is worked out from them is not.
        name: Layout(rows, tuple(target.shape[1:]), is_half=bool(target.any() and is_half(target.flatten(1)).all()))
        for name, target in sample.items()
    }
    paths = {name: place(name) for name in layouts}
    folder = next(iter(paths.values())).parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "budget.lock"):  # or two that come at once would both find the room that one has
        more = sum(layouts[name].bytes for name, path in paths.items() if not path.exists())
        if more and taken(folder) + more > budget:
            return asked
        try:
            kept = Kept({name: Table(paths[name], layout) for name, layout in layouts.items()}, asked, data)
        except OSError:  # a full disk: records need what is left of it more
            return asked
    if view_count(data) <= epochs and sum(layout.bytes for layout in layouts.values()) <= LIMIT:
        return Remembered(kept.all(), data)
    return kept


def _view(data: ResidentData, number: int, indices: Tensor) -> Batch:
    device = data.train.pixels.device
    across = 2 * data.shift + 1
    indices = indices.to(device)
    one = torch.ones_like(indices)
    views = Views(one * (number // across % across), one * (number % across), (one * (number // across**2)).bool())
    return data.batch(indices, views)
