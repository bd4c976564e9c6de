"""`crd`: Contrastive Representation Distillation (Tian et al. 2020, arXiv 1910.10699).

    s, t = the networks' embeddings, through a linear layer each, of length 1
    score(s, t) = exp(s · t / τ) / Z
    L = CE + β · (noise contrast of (s, remembered t's) + the same of (t, remembered s's))

The true pair is an image's own; the noise is `negatives` remembered vectors of images of other classes.
The memory holds one vector of each network for every training image, and moves towards what it sees. It
lies in buffers beside the linear layers, so a checkpoint has it too. Z is measured on the first batch.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from harness.distill.losses import noise_contrast
from harness.distill.method import Lesson, Losses, Pairing, Parts, Targets
from harness.distill.transfer import Transfer, TransferWeights
from harness.models.pairing import Taps
from harness.models.taps import EMBEDDING, Features


class CRDWeights(TransferWeights):
    """β = 0.8 as in the paper."""

    contrast: float = Field(default=0.8, ge=0)


class CRD(Transfer):
    """An image's two embeddings agree more than embeddings of two images."""

    name: Literal["crd"] = "crd"
    weights: CRDWeights = CRDWeights()
    width: int = Field(default=128, ge=1, le=65_536)
    """Of the space in which embeddings are compared."""
    negatives: int = Field(default=16_384, ge=1, le=2**31 - 1)
    """Drawn with replacement for each image, at most as many as there are training images; the paper's for
    CIFAR-100."""
    contrast_temperature: float = Field(default=0.07, gt=0)
    """τ."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """The memory's."""

    @property
    def tapped(self) -> Taps:
        return (EMBEDDING,)

    def student_part(self, pairing: Pairing) -> nn.Module:
        return Memory(self, pairing)

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        return {"logits": teacher.logits, "embedding": teacher.maps[EMBEDDING].flatten(1)}

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        assert isinstance(parts.student, Memory)
        contrast = parts.student(student.maps[EMBEDDING].flatten(1), targets["embedding"], lesson)
        return {"contrast": contrast}


class Memory(nn.Module):
    """Both networks' linear layers, and the vectors that they gave every training image last."""

    ours: Tensor
    theirs: Tensor
    scale: Tensor
    by_class: Tensor
    first_of_class: Tensor
    count_of_class: Tensor

    def __init__(self, settings: CRD, pairing: Pairing) -> None:
        super().__init__()
        self.settings, self.images = settings, len(pairing.labels)
        self.negatives = min(settings.negatives, self.images)
        self.of_student = nn.Linear(pairing.student[EMBEDDING][0], settings.width)
        self.of_teacher = nn.Linear(pairing.teacher[EMBEDDING][0], settings.width)
        bound = 1 / math.sqrt(settings.width / 3)
        for name in ("ours", "theirs"):
            self.register_buffer(name, torch.empty(self.images, settings.width).uniform_(-bound, bound))
        self.register_buffer("scale", torch.zeros(2))
        labels = pairing.labels
        counts = (labels[:, None] == torch.arange(pairing.classes, device=labels.device)).sum(dim=0)
        self.register_buffer("by_class", labels.argsort(stable=True), persistent=False)
        self.register_buffer("first_of_class", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("count_of_class", counts, persistent=False)

    def forward(self, student: Tensor, teacher: Tensor, lesson: Lesson) -> Tensor:
        """Embeddings (n, d) and (n, e) → the contrast of each image, (n,); remembers the batch in training."""
        ours, theirs = F.normalize(self.of_student(student)), F.normalize(self.of_teacher(teacher))
        drawn = torch.cat([lesson.indices[:, None], self.others(lesson)], dim=1)
        scores = torch.stack([self._scores(self.theirs, ours, drawn), self._scores(self.ours, theirs, drawn)])
        with torch.no_grad():
            if self.training:
                self.scale.copy_(torch.where(self.scale > 0, self.scale, scores.mean(dim=(1, 2)) * self.images))
                self._remember(self.ours, ours, lesson.indices)
                self._remember(self.theirs, theirs, lesson.indices)
        scores = scores / self.scale[:, None, None]
        return noise_contrast(scores[0], self.images) + noise_contrast(scores[1], self.images)

    def others(self, lesson: Lesson) -> Tensor:
        """Images of other classes than each image's own, uniformly, with replacement: (n, negatives)."""
        own_count, own_first = self.count_of_class[lesson.labels], self.first_of_class[lesson.labels]
        shape, device = (len(lesson.labels), self.negatives), lesson.labels.device
        draws = torch.rand(shape, generator=lesson.generator, device=device, dtype=torch.float64)
        place = (draws * (self.images - own_count)[:, None]).long()
        return self.by_class[torch.where(place < own_first[:, None], place, place + own_count[:, None])]

    def _scores(self, memory: Tensor, vectors: Tensor, drawn: Tensor) -> Tensor:
        """exp(dot / τ) of vectors (n, width) with the memory's rows drawn for each, (n, 1 + k).

        All products are made and the drawn ones picked: copying the drawn rows takes 12 to 25 times as long.
        """
        products = vectors @ memory.clone().T  # the memory changes before the gradient asks for it
        return torch.exp(products.gather(1, drawn) / self.settings.contrast_temperature)

    def _remember(self, memory: Tensor, vectors: Tensor, indices: Tensor) -> None:
        momentum = self.settings.momentum
        memory[indices] = F.normalize(momentum * memory[indices] + (1 - momentum) * vectors)
