"""The contract of a distillation method: settings, learnable parts, and named losses.

A method neither runs networks nor steps optimisers. The trial loop gives it what the two networks
said of a batch; it gives back losses per image. What the frozen teacher says is first reduced to
*targets*, tensors that depend on the image's view alone, so that they can be computed once and kept.

    teacher(images) → Features ──targets()──► Targets ─┐
    student(images) → Features ────────────────────────┴─losses()──► {name: (n,)}, weighted by `weights_at`
                         └──(detached)──adversary_losses()──► (n,), for the adversary alone

Maps come under the names of the paired taps (see `models/pairing.py`), shallow to deep.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.models.pairing import PairedTap, Taps
from harness.models.taps import Features, Shape
from harness.spec import Spec

Targets = dict[str, Tensor]
"""What a teacher says of a batch, by name; the first dimension is the image."""

Losses = dict[str, Tensor]
"""Unweighted losses of a batch by name, one number an image."""

InPack = Literal["together", "one_by_one", "never"]
"""How a method's losses are computed for the trials of a pack (see `train/pack.py`).

`together`: every image's loss depends on that image alone (batch normalisation apart), nothing is drawn, and the same
losses are learnt from throughout, so that all trials' images can be given at once. `one_by_one`: a loss compares the
images of a batch, so each trial's are given alone, and the method has no learnable parts. `never`: its trials run one
after another; nothing is assumed of a method that does not say.
"""


@dataclass(frozen=True)
class Lesson:
    """What a loss may know of a batch beside what the networks say of it."""

    labels: Tensor
    """Classes, (n,)."""
    indices: Tensor
    """Which of the training images these are, (n,)."""
    generator: torch.Generator
    """For what a loss draws; seeded by the trial, the epoch and nothing else."""


@dataclass(frozen=True)
class Pairing:
    """What a method must know of a teacher, a student and the training images to build its parts."""

    student: dict[str, Shape]
    """Tap → (channels, height, width)."""
    teacher: dict[str, Shape]
    labels: Tensor
    """The classes of the training images, (images,)."""
    classes: int
    logit_mean: float = 0.0
    """Mean and spread of the teacher's logits over the training images, all classes together."""
    logit_spread: float = 1.0

    @classmethod
    def of(cls, taps: tuple[PairedTap, ...], labels: Tensor, classes: int) -> Self:
        """The pairing at some taps, before the teacher's logits are known."""
        return cls(
            {pair.name: pair.student_shape for pair in taps},
            {pair.name: pair.teacher_shape for pair in taps},
            labels,
            classes,
        )

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the paired taps, shallow to deep."""
        return tuple(self.student)

    def common_size(self, tap: str) -> tuple[int, int]:
        """The smaller of the two heights and of the two widths at a tap."""
        (_, *ours), (_, *theirs) = self.student[tap], self.teacher[tap]
        return min(ours[0], theirs[0]), min(ours[1], theirs[1])

    def resized(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Maps of either network at the common sizes, averaged down where they are larger."""
        return {tap: F.adaptive_avg_pool2d(maps[tap], self.common_size(tap)) for tap in self.taps}

    def standardised(self, logits: Tensor) -> Tensor:
        """Logits of either network in units of the teacher's."""
        return (logits - self.logit_mean) / self.logit_spread


class Pretraining(Spec):
    """How a teacher's part is trained: by its own loss, with the teacher frozen; then it is frozen too.

    Trained by the distance between student and teacher alone, KSAN's estimators collapse (measured: the
    variance of the teacher's descriptors falls 4,500-fold and accuracy does not show it).
    """

    steps: int = Field(default=200, ge=1, le=1_000_000)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Adam's."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """The part belongs to the teacher, and every trial with the same settings shares it."""
    least_spread: float = Field(default=1e-2, ge=0)
    """The guard: what the part says must vary over the training images by this share of its size."""


class TeacherPart(nn.Module, ABC):
    """A learnable part on the teacher's side: trained first, by itself, then frozen."""

    @abstractmethod
    def pretraining_loss(self, teacher: Features, labels: Tensor) -> Tensor:
        """The loss per image that trains this part, (n,)."""

    @abstractmethod
    def settle(self, batches: Iterable[Features]) -> None:
        """Measures what it needs of the training set once trained; raises `CollapsedError` if it says nothing."""


def grown(progress: float, warmup: float) -> float:
    """The share of its weight that a loss has at a progress, where it grows linearly over a share of training."""
    return min(1.0, progress / warmup) if warmup else 1.0


class CollapsedError(Exception):
    """A pre-trained part gives every image the same answer; accuracy alone would not show it."""


@dataclass(frozen=True)
class Parts:
    """A method's learnable parts: trained with the student, trained against it, and frozen."""

    pairing: Pairing
    student: nn.Module
    adversary: nn.Module | None = None
    teacher: TeacherPart | None = None


class Method(Spec, ABC):
    """A method and its settings; subclasses are final and live in a file each."""

    name: str

    @property
    def needs_teacher(self) -> bool:
        """Whether the student learns from a teacher."""
        return True

    @property
    def needs_positions(self) -> bool:
        """Whether it compares where a map is active, which a map of one position cannot tell."""
        return False

    @property
    def tapped(self) -> Taps | None:
        """The taps that this method reads in both networks, as a wish; None for none."""
        return None

    @property
    @abstractmethod
    def loss_weights(self) -> dict[str, float]:
        """Loss name → weight; a loss of weight 0 is not learnt from."""

    def weights_at(self, progress: float) -> dict[str, float]:
        """The weights in the epoch whose middle is at a progress in (0, 1): `loss_weights`, or a schedule of them."""
        return self.loss_weights

    @property
    def has_schedule(self) -> bool:
        """Whether epochs may weigh the losses differently."""
        return type(self).weights_at is not Method.weights_at

    @abstractmethod
    def losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        """The student's losses; the gradient reaches the student and `parts.student` only.

        Buffers of `parts.student` may change, as those of batch normalisation do.
        """

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        """What this method keeps of the teacher's features."""
        return {"logits": teacher.logits}

    @property
    def target_settings(self) -> list[object]:
        """What decides `targets` and the teacher's part beside taps and `teacher_settings`: trials that agree in all of
        these share them. What other code made of the same settings is told apart by a number here.
        """
        return []

    def student_part(self, pairing: Pairing) -> nn.Module:
        """Parts trained together with the student."""
        return nn.Identity()

    def teacher_part(self, pairing: Pairing) -> TeacherPart | None:
        """The part that is pre-trained on the teacher and frozen."""
        return None

    @property
    def pretraining(self) -> Pretraining | None:
        """How `teacher_part` is trained."""
        return None

    @property
    def teacher_settings(self) -> Spec | None:
        """The settings that decide `teacher_part`: trials that agree in them and in `target_settings` share one."""
        return None

    def adversary(self, pairing: Pairing) -> nn.Module | None:
        """The network that is trained against the student."""
        return None

    @property
    def adversary_learning_rate(self) -> float:
        """Adam's learning rate for the adversary."""
        return 1e-3

    def adversary_losses(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Tensor:
        """The adversary's own loss, (n,), one number an image; the student's features come detached."""
        raise NotImplementedError(f"{self.name} has no adversary")

    def adversary_penalty(self, parts: Parts) -> Tensor | None:
        """What the adversary's weights cost beside that, a scalar; None for nothing."""
        return None

    @property
    def in_pack(self) -> InPack:
        """How the losses of several trials of a pack are computed; see `InPack`."""
        return "never"

    @property
    def shared_settings(self) -> dict[str, Any]:
        """The settings on which trials must agree whose losses are computed together: all but the losses' weights."""
        return self.model_dump(mode="json", exclude={"weights"})
