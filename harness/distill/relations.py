"""What methods share that compare an image's relations to the batch: vectors at taps, by default the embedding."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from harness.distill.method import InPack, Lesson, Losses, Parts, Targets
from harness.distill.transfer import Transfer, summed_over_taps
from harness.models.pairing import Taps
from harness.models.taps import EMBEDDING, Features


class Relational(Transfer):
    """A loss of its own on (student's vectors, teacher's vectors), (n, d) and (n, e), summed over taps."""

    taps: Taps = (EMBEDDING,)
    """What the vectors are made of; a map is flattened."""

    @property
    def tapped(self) -> Taps:
        return self.taps

    @property
    def in_pack(self) -> InPack:
        return "one_by_one"

    def targets(self, teacher: Features, parts: Parts) -> Targets:
        vectors = {f"vectors {tap}": maps.flatten(1) for tap, maps in teacher.maps.items()}
        return {"logits": teacher.logits, **vectors}

    def knowledge(self, student: Features, targets: Targets, lesson: Lesson, parts: Parts) -> Losses:
        pairs = [(student.maps[tap].flatten(1), targets[f"vectors {tap}"]) for tap in parts.pairing.taps]
        each = [self.relation(ours, theirs) for ours, theirs in pairs]
        return {name: summed_over_taps([losses[name] for losses in each]) for name in each[0]}

    @abstractmethod
    def relation(self, ours: Tensor, theirs: Tensor) -> Losses:
        """The losses of one tap's vectors."""
