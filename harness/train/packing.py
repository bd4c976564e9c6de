"""Packing: which trials may train as one pack, and how many; decided by their specs alone, before anything runs."""

from __future__ import annotations

from functools import cache

import torch

from harness.data.listed import ListedDataset
from harness.distill.method import Pairing
from harness.models.architecture import Architecture
from harness.models.stacked import can_stack
from harness.spec import content_id
from harness.train.cost import activation_bytes
from harness.train.trial import TrialSpec

ROOM = {"cpu": 256 * 2**20, "cuda": 16 * 2**30}
"""Bytes of kept activations up to which a pack is filled, by the kind of device. Beyond the processor's caches a
network's own arithmetic and memory are the limit, and lockstep gains nothing (measured, see benchmarks/LOG.md)."""
FEWEST = 4
"""Trials that must find room, or they are not worth a pack."""


def most_in_a_pack(spec: TrialSpec, device_type: str) -> int:
    """How many trials of this shape may train as one; 1 where they train one after another. Decided by the spec alone."""
    if spec.purpose == "teacher" or (isinstance(spec.data, ListedDataset) and spec.data.stream):
        return 1
    if not (spec.student.is_image_wise and _stacks(spec.student, spec.data.shape[0], spec.data.classes)):
        return 1
    if spec.method.in_pack == "never" or not _parts_stack(spec):
        return 1
    a_trial = spec.training.batch_size * activation_bytes(spec.student, spec.data.shape, spec.data.classes)
    most = ROOM.get(device_type, 0) // max(1, a_trial)
    return most if most >= FEWEST else 1


def shape_of(spec: TrialSpec) -> str:
    """What trials must agree in to train as one."""
    training = spec.training
    return content_id(
        [
            spec.data.id,
            spec.student.id,
            training.batch_size,
            training.precision,
            training.nesterov,
            training.momentum > 0,
        ]
    )


@cache
def _built_stacks(family: type[Architecture], settings: str, channels: int, classes: int) -> bool:
    with torch.device("meta"):
        return can_stack(family.model_validate_json(settings).build(channels, classes))


def _stacks(network: Architecture, channels: int, classes: int) -> bool:
    return _built_stacks(type(network), network.model_dump_json(), channels, classes)


def _parts_stack(spec: TrialSpec) -> bool:
    """Whether a method's learnable parts can be stacked; where its losses are computed one by one it may have none."""
    with torch.device("meta"):
        pairing = Pairing.of(spec.taps, torch.empty(spec.data.train_count, dtype=torch.int64), spec.data.classes)
        student, adversary = spec.method.student_part(pairing), spec.method.adversary(pairing)
    if spec.method.in_pack == "one_by_one":
        return adversary is None and not list(student.parameters())
    return can_stack(student) and (adversary is None or can_stack(adversary))
