"""The pilot: a few real steps of a study's hungriest trial, to know how many trials fit on a device beside each other.

It is carried out like any other trial, on a few batches and with a teacher of one epoch, in a cache that is thrown
away; nothing of it is a record.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.source import MissingError
from harness.train.account import Account, Assignment, carry_out
from harness.train.cost import activation_bytes
from harness.train.trial import TrialSpec
from harness.train.workshop import Workshop

BATCHES = 4
FULL = 0.9
"""The share of a device's memory that trials may take; the rest is for what they share and for what varies."""


@dataclass(frozen=True)
class Pilot:
    """What a trial took."""

    peak_bytes: int
    step_seconds: float


class PilotError(MissingError):
    """The pilot did not complete; the message says why."""


def hungriest(specs: Iterable[TrialSpec]) -> TrialSpec:
    """The trial that keeps most activations for its backward pass, a teacher's forward pass counted in."""
    return max(specs, key=_appetite)


def _appetite(spec: TrialSpec) -> int:
    networks = [spec.student, *([spec.teacher.network] if spec.teacher else [])]
    each = sum(activation_bytes(network, spec.data.shape, spec.data.classes) for network in networks)
    return spec.training.batch_size * each


def fly(spec: TrialSpec, data_root: Path, device: torch.device) -> Pilot:
    """Trains a few batches of a trial; raises `PilotError` where it does not complete."""
    images = max(BATCHES * spec.training.batch_size, 2 * spec.data.classes)
    changes = {"data.train": min(images, spec.data.train_count), "training.epochs": 1}
    if spec.teacher:
        changes["teacher.training.epochs"] = 1
    short = spec.with_values(changes)
    with tempfile.TemporaryDirectory() as cache:
        trial = _account(Assignment(short, "pilot", "pilot"), Workshop(data_root, Path(cache), device)).trial
    if trial.status == "failed" or trial.peak_bytes is None:
        raise PilotError(
            f"how many trials share a device could not be measured: a trial of {trial.student} by {spec.method.name} "
            f"failed ({trial.error_class}: {trial.error_message}); give `resources.gpus_per_trial` as a number"
        )
    steps = max(1, short.data.train_count // spec.training.batch_size)
    resident = (spec.data.train_count - short.data.train_count) * torch.Size(spec.data.shape).numel()
    return Pilot(trial.peak_bytes + resident, trial.train_seconds / steps)


def _account(assignment: Assignment, workshop: Workshop) -> Account:
    records = carry_out(assignment, workshop)
    while True:
        try:
            next(records)
        except StopIteration as end:
            account: Account = end.value
            return account


def trials_a_device(memory: int, peak: int, cores: int) -> int:
    """How many trials share a device: as many as its memory holds, and as there are cores to feed them; at least one.

    `memory` and `peak` are bytes, `cores` those that the device's trials have, in units of what a trial takes.
    """
    return max(1, min(int(FULL * memory) // max(1, peak), cores))
