"""What all loops of `benchmarks.step` do alike: the networks, the images, the batch, and one trial that says so.

KD or KSAN from a ResNet-56 to a ResNet-20 on 32×32 colour images, pad-4 crop and flip, 64 images a step. The teacher's
weights are drawn, since they decide no loop's speed; its batch normalisation has seen the images, so that its logits
are of a trained network's size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from harness.data.catalog import AnyDataset
from harness.data.parquet import Parquet
from harness.data.resident import ResidentData
from harness.distill.catalog import AnyMethod
from harness.distill.method import Parts
from harness.models.resnet import ResNet
from harness.models.taps import Tapped
from harness.train.answers import Answers, Asked, Remembered, view_count, view_number
from harness.train.optim import Precision, Steps, Training
from harness.train.teachers import save_weights
from harness.train.trial import Checkpoint, TeacherSide, TeacherSpec, TrialSpec, run_trial
from harness.train.trial import precision as autocast_of
from harness.train.workshop import Workshop, drained

BATCH = 64
TEACHER, STUDENT = ResNet(depth=56), ResNet(depth=20)
TRAINING = Training(
    epochs=10_000,
    batch_size=BATCH,
    learning_rate=0.05,
    nesterov=False,
    schedule=Steps(),
    channels_last=True,
)
"""RepDistiller's recipe, of more epochs than any benchmark trains; channels_last as the shipped studies have it."""


@dataclass(frozen=True)
class Task:
    """A trial with its images and its teacher, ready to be trained by any loop."""

    spec: TrialSpec
    workshop: Workshop
    side: TeacherSide
    network: nn.Module
    """The teacher's, frozen, in eval mode."""

    @property
    def device(self) -> torch.device:
        return self.workshop.device

    @property
    def data(self) -> ResidentData:
        data = self.workshop.data(self.spec.data)
        assert isinstance(data, ResidentData)
        return data

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return self.data.batch_count(BATCH)

    def pixels(self, part: str) -> tuple[NDArray[np.uint8], list[int]]:
        """The images of a split as (n, h, w, c) and their labels, as torchvision's CIFAR holds them."""
        split = self.data.train if part == "train" else self.data.validation
        return split.pixels.cpu().permute(0, 2, 3, 1).contiguous().numpy(), split.labels.tolist()

    def standard(self) -> tuple[list[float], list[float]]:
        """Mean and spread a channel, for pixels in 0…1."""
        mean, spread = (
            value.flatten() / 255 for value in (self.data.train.standard.mean, self.data.train.standard.spread)
        )
        return mean.tolist(), spread.tolist()

    def tapped(self) -> Tapped:
        """The teacher at the taps that the method reads."""
        return Tapped(self.network, {tap.name: tap.teacher for tap in self.spec.taps}, TEACHER.classifier)

    def asked(self) -> Asked:
        """The teacher, run at every step."""
        parts = Parts(self.side.pairing, nn.Identity(), None, self.side.part)
        return Asked(self.tapped(), self.spec.method, parts, autocast_of(self.spec, self.device))

    def ours(self, answers: Answers) -> Iterator[float]:
        """Our own loop: the training seconds of each epoch, each followed by an evaluation."""
        for record in run_trial(self.spec, self.data, replace(self.side, answers=answers), self.device):
            yield record.seconds

    def remembered(self, epochs: int) -> Remembered:
        """Answers that hold all that the first `epochs` epochs ask for: all 162 views would take the teacher hours."""
        data, asked = self.data, self.asked()
        tables: dict[str, Tensor] = {}
        for epoch in range(epochs):
            order = torch.Generator().manual_seed(self.spec.seeds.stream("data", epoch))
            for batch in data.batches(BATCH, order):
                assert batch.views is not None
                for name, said in asked.of(batch).items():
                    shape = len(data.train), view_count(data), *said.shape[1:]
                    table = tables.setdefault(name, torch.full(shape, torch.nan, device=said.device))
                    table[batch.indices, view_number(batch.views, data)] = said
        return Remembered(tables, data)


def task(
    method: AnyMethod,
    folder: Path,
    device: torch.device,
    images: int,
    parquet: Path | None,
    precision: Precision = "float32",
) -> Task:
    """A task on so many training images of some Parquet files, or of drawn ones; writes what it makes to `folder`.

    The precision is that of our own loop.
    """
    data = _dataset(parquet or drawn_images(folder / "images"), images)
    weights = folder / "teacher.safetensors"
    workshop = Workshop(folder, folder / "cache", device)
    if not weights.exists():
        save_weights(_normalised(TEACHER.build(3, data.classes), workshop, data), weights)
    teacher = TeacherSpec(network=TEACHER, checkpoint=Checkpoint(path=str(weights)))
    training = TRAINING.model_copy(update={"precision": precision})
    spec = TrialSpec(data=data, teacher=teacher, student=STUDENT, method=method, training=training)
    known = drained(workshop.teacher(teacher, data))
    # The side is made of a trial so short that no answers are computed for it: they are measured apart.
    brief = spec.with_values({"training.epochs": 1})
    side = workshop.side(brief)
    assert side is not None
    return Task(spec, workshop, side, known.network)


def _normalised(network: nn.Module, workshop: Workshop, data: AnyDataset) -> nn.Module:
    """A network whose batch normalisation has the statistics of the training images."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all passes
    network.to(workshop.device)
    with torch.no_grad():
        for batch in workshop.data(data).batches(BATCH, torch.Generator().manual_seed(0)):
            network.train()(batch.images)
    return network


def _dataset(folder: Path, images: int) -> Parquet:
    """Some training images and a fifth as many for validation, the shares of CIFAR's 50,000 and 10,000."""
    content = {"name": "parquet", "path": str(folder), "validation": images // 5, "train": images}
    return Parquet.model_validate({**content, "shift": 4, "flip": True}).pinned(None)


def drawn_images(folder: Path, count: int = 4000, classes: int = 10) -> Path:
    """Random images as Parquet files, where no path to real ones is given."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part, number in (("train", count), ("test", classes)):
        pixels = generator.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)
        contents = [{"bytes": _encoded(each), "path": None} for each in pixels]
        labels = np.arange(number) % classes
        table = pa.table({"img": contents, "label": labels}, metadata={"classes": ",".join(map(str, range(classes)))})
        pq.write_table(table, folder / f"{part}.parquet")
    return folder


def _encoded(pixels: NDArray[np.uint8]) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()
