"""KD and KSAN written the usual way in plain PyTorch, as tutorials and the rivals' repositories write it.

PIL images through torchvision's transforms and a DataLoader, the teacher run at every step, meters fed by `.item()`.
Networks, estimators and discriminator are the harness' own, so that only the loop differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.task import BATCH, STUDENT, Task
from harness.distill.attention import TeacherAttention
from harness.distill.kd import KD
from harness.distill.ksan import KSAN

Batches = DataLoader[tuple[Tensor, Tensor]]


class PilImages(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's CIFAR holds and gives them: an array, and a PIL image an item."""

    def __init__(self, pixels: NDArray[np.uint8], labels: list[int], transform: transforms.Compose) -> None:
        self.pixels, self.targets, self.transform = pixels, labels, transform

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


class Instances(PilImages):
    """The same with each item's number, which RepDistiller's loop asks for."""

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:  # type: ignore[override]
        return *super().__getitem__(index), index


def images(task: Task, part: str, kind: type[PilImages] = PilImages) -> PilImages:
    """A split of the task's images behind the transforms of the published CIFAR recipes."""
    moved = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if part == "train" else []
    final = [transforms.ToTensor(), transforms.Normalize(*task.standard())]
    return kind(*task.pixels(part), transforms.Compose([*moved, *final]))


def loaders(task: Task, kind: type[PilImages] = PilImages) -> tuple[Batches, Batches]:
    """Training and validation, without worker processes: all sides have the same threads."""
    training = DataLoader(images(task, "train", kind), batch_size=BATCH, shuffle=True, num_workers=0)
    return training, DataLoader(images(task, "validation"), batch_size=BATCH, shuffle=False, num_workers=0)


class Meter:
    """A running mean."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, value: float, count: int) -> None:
        """Counts a batch's mean."""
        self.total, self.count = self.total + value * count, self.count + count


def correct(logits: Tensor, labels: Tensor) -> float:
    """The batch's accuracy."""
    return (logits.argmax(dim=1) == labels).float().mean().item()


def validate(network: nn.Module, loader: Batches, device: torch.device) -> None:
    """Loss and accuracy on validation."""
    network.eval()
    losses, accuracies = Meter(), Meter()
    with torch.no_grad():
        for on_host in loader:
            batch, labels = (part.to(device) for part in on_host)
            logits = network(batch)
            losses.update(F.cross_entropy(logits, labels).item(), len(labels))
            accuracies.update(correct(logits, labels), len(labels))


def sgd(task: Task, *modules: nn.Module) -> torch.optim.SGD:
    """The recipe's optimiser, as torch gives it when nothing more is asked."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    training = task.spec.training
    return torch.optim.SGD(
        parameters, lr=training.learning_rate, momentum=training.momentum, weight_decay=training.weight_decay
    )


def kd(task: Task) -> Iterator[float]:
    """KD; yields the training seconds of each epoch, which validation follows."""
    method, device, teacher = task.spec.method, task.device, task.network
    assert isinstance(method, KD)
    temperature, alpha = method.temperature, method.alpha
    student = STUDENT.build(3, task.spec.data.classes).to(device)
    optimiser = sgd(task, student)
    training, validation = loaders(task)
    while True:
        began = time.perf_counter()
        student.train()
        losses, accuracies = Meter(), Meter()
        for on_host in training:
            batch, labels = (part.to(device) for part in on_host)
            with torch.no_grad():
                wanted = teacher(batch)
            logits = student(batch)
            hard = F.cross_entropy(logits, labels)
            soft = F.kl_div(
                F.log_softmax(logits / temperature, dim=1),
                F.softmax(wanted / temperature, dim=1),
                reduction="batchmean",
            )
            loss = (1 - alpha) * hard + alpha * temperature**2 * soft
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), task.spec.training.clip)
            optimiser.step()
            losses.update(loss.item(), len(labels))
            accuracies.update(correct(logits, labels), len(labels))
        seconds = time.perf_counter() - began
        validate(student, validation, device)
        yield seconds


def ksan(task: Task) -> Iterator[float]:
    """KSAN with its default settings; yields the training seconds of each epoch, which validation follows."""
    method, device, teacher, pairing = task.spec.method, task.device, task.network, task.side.pairing
    estimators = task.side.part
    assert isinstance(method, KSAN) and isinstance(estimators, TeacherAttention)
    weights, discriminator = method.weights, method.discriminator
    student = STUDENT.build(3, task.spec.data.classes).to(device)
    squeeze = method.student_part(pairing).to(device)
    adversary = discriminator.build(task.spec.data.classes).to(device)
    said: dict[str, dict[str, Tensor]] = {"student": {}, "teacher": {}}
    for tap in task.spec.taps:
        student.get_submodule(tap.student).register_forward_hook(_keeping(said["student"], tap.name))
        teacher.get_submodule(tap.teacher).register_forward_hook(_keeping(said["teacher"], tap.name))
    optimiser = sgd(task, student, squeeze)
    rival = torch.optim.Adam(adversary.parameters(), lr=discriminator.learning_rate, betas=(0.5, 0.999))
    training, validation = loaders(task)
    while True:
        began = time.perf_counter()
        student.train()
        meters = {name: Meter() for name in ("total", "label", "logits", "adversarial", "squeezed", "rival")}
        for on_host in training:
            batch, labels = (part.to(device) for part in on_host)
            with torch.no_grad():
                wanted = pairing.standardised(teacher(batch))
                described = estimators(said["teacher"])
            raw = student(batch)
            logits = pairing.standardised(raw)
            verdict = adversary(logits)
            losses = {
                "label": F.cross_entropy(raw, labels),
                "logits": F.mse_loss(logits, wanted),
                "adversarial": F.softplus(-verdict[:, 0]).mean() + F.cross_entropy(verdict[:, 1:], labels),
                "squeezed": F.mse_loss(estimators.scaled(squeeze(said["student"])), described),
            }
            loss = (
                weights.cross_entropy * losses["label"]
                + weights.logits * losses["logits"]
                + weights.adversarial * losses["adversarial"]
                + weights.squeezed * losses["squeezed"]
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*student.parameters(), *squeeze.parameters()], task.spec.training.clip)
            optimiser.step()

            real, fake = adversary(wanted), adversary(logits.detach())
            own = F.softplus(-real[:, 0]) + F.softplus(fake[:, 0])
            own = own + discriminator.mu * F.softplus(-fake[:, 0])
            own = own.mean() + F.cross_entropy(real[:, 1:], labels) + F.cross_entropy(fake[:, 1:], labels)
            rival.zero_grad()
            own.backward()
            rival.step()
            for name, value in (("total", loss), *losses.items(), ("rival", own)):
                meters[name].update(value.item(), len(labels))
        seconds = time.perf_counter() - began
        validate(student, validation, device)
        yield seconds


def _keeping(kept: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(module: nn.Module, entered: object, output: Tensor) -> None:
        kept[name] = output

    return keep
