"""Packing: which trials may train as one pack, and how many; decided by their specs alone, before anything runs."""

from __future__ import annotations

from functools import cache

import torch

from harness.data.listed import ListedDataset
from harness.distill.method import Method, Pairing
from harness.models.architecture import Architecture
from harness.models.pairing import PairedTap
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
    """How many trials of this shape may train as one; 1 where they train one after another."""
    if spec.purpose == "teacher" or (isinstance(spec.data, ListedDataset) and spec.data.stream):
        return 1
    channels, classes, method = spec.data.shape[0], spec.data.classes, spec.method
    if not _network_stacks(type(spec.student), spec.student.model_dump_json(), channels, classes):
        return 1
    if not _parts_stack(type(method), method.model_dump_json(), spec.taps, classes, spec.data.train_count):
        return 1
    a_trial = spec.training.batch_size * activation_bytes(spec.student, spec.data.shape, spec.data.classes)
    most = ROOM.get(device_type, 0) // max(1, a_trial)
    if most < FEWEST:
        return 1
    if device_type == "cuda" and torch.cuda.is_available():  # a small GPU has smaller packs, which changes no number
        most = min(most, max(2, torch.cuda.get_device_properties(0).total_memory // 2 // max(1, a_trial)))
    return most


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
def _network_stacks(family: type[Architecture], settings: str, channels: int, classes: int) -> bool:
    network = family.model_validate_json(settings)
    with torch.device("meta"):
        return network.is_image_wise and can_stack(network.build(channels, classes))


@cache
def _parts_stack(family: type[Method], settings: str, taps: tuple[PairedTap, ...], classes: int, images: int) -> bool:
    """Whether a method's learnable parts can be stacked; where its losses are computed one by one it may have none."""
    method = family.model_validate_json(settings)
    if method.in_pack == "never":
        return False
    with torch.device("meta"):
        pairing = Pairing.of(taps, torch.empty(images, dtype=torch.int64), classes)
        student, adversary = method.student_part(pairing), method.adversary(pairing)
    if method.in_pack == "one_by_one":
        return adversary is None and not list(student.parameters())
    return can_stack(student) and (adversary is None or can_stack(adversary))
