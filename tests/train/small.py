"""Small real trials: 64 digits, networks of a few thousand weights, two or three epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch

from harness.data.digits import Digits
from harness.distill.catalog import AnyMethod
from harness.distill.method import Method
from harness.distill.scratch import Scratch
from harness.models.resnet import ResNet
from harness.record import EpochRecord
from harness.train.optim import Training
from harness.train.seeds import Seeds
from harness.train.trial import Outcome, Resumption, TeacherSpec, TrialSpec, run_trial
from harness.train.workshop import Workshop

CPU = torch.device("cpu")
DATA = Digits(train=64, validation=64)
TEACHER = TeacherSpec(network=ResNet(depth=8, width=4), training=Training(epochs=3))
STUDENT = ResNet(depth=8, width=2)
METHODS: list[Method] = [kind() for kind in get_args(get_args(AnyMethod)[0])]
EPOCHS = 3

Result = TypeVar("Result")


def small_trial(method: Method | None = None, seed: int = 0, **changes: Any) -> TrialSpec:
    """A trial of a few tenths of a second; `changes` are dotted paths with `__` for the dot."""
    spec = TrialSpec(
        data=DATA,
        teacher=TEACHER if method and method.needs_teacher else None,
        student=STUDENT,
        method=method or Scratch(),
        training=Training(epochs=EPOCHS),
        seeds=Seeds.all(seed),
    )
    return spec.with_values({path.replace("__", "."): value for path, value in changes.items()})


def exhausted(records: Generator[EpochRecord, None, Result]) -> tuple[list[EpochRecord], Result]:
    """What a generator yields and what it returns."""
    seen = []
    while True:
        try:
            seen.append(next(records))
        except StopIteration as end:
            return seen, end.value


def run(spec: TrialSpec, workshop: Workshop, kept_at: Path | None = None) -> tuple[list[EpochRecord], Outcome]:
    """A trial from its beginning, or from what is kept of it, to its end."""
    resumption = Resumption(kept_at, every=0) if kept_at else None
    return exhausted(run_trial(spec, workshop.data(spec.data), workshop.side(spec), CPU, resumption))


def timeless(records: list[EpochRecord]) -> list[EpochRecord]:
    """Records without the only thing that two equal runs do not share."""
    return [dataclasses.replace(record, seconds=0.0) for record in records]
