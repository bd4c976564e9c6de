"""The plan: what a study comes to, worked out before anything runs.

    teachers ──► cells (pair × arm: one search each, the same budget) ──► confirmation of each cell's best

A method that needs no teacher has one cell for each student, whatever teachers the student is paired
with: the same search twice would be two draws of one thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from harness.distill.method import Pairing
from harness.models.architecture import Architecture
from harness.spec import content_id
from harness.study.constraints import Constraint
from harness.study.space import SearchSpace
from harness.study.study import SEARCH_SEEDS, Arm, Study, base_trial
from harness.train.cost import Size, size
from harness.train.seeds import Seeds
from harness.train.trial import TrialSpec, teacher_trial


@dataclass(frozen=True)
class Cell:
    """One pair and arm: the search for the arm's best config."""

    arm: Arm
    space: SearchSpace
    """What the search may vary."""
    base: TrialSpec
    size: Size
    constraints: tuple[Constraint, ...] = ()
    """What the search may not propose."""

    @property
    def id(self) -> str:
        """Of what is searched, so that a resumed study finds its own proposals again."""
        space = {path: domain.model_dump(mode="json", by_alias=True) for path, domain in self.space.items()}
        bounds = [[list(self.arm.known), [str(limit) for limit in self.constraints]]]
        return content_id([self.base.id, self.arm.name, space, *(bounds if any(bounds[0]) else [])])

    @property
    def teacher_trial(self) -> TrialSpec | None:
        """The trial that must end before this cell's can begin."""
        return teacher_trial(self.base.teacher, self.base.data) if self.base.teacher else None

    @property
    def varies_size(self) -> bool:
        """Whether the student itself is searched, so that size is an objective beside accuracy."""
        return any(path.split(".")[0] == "student" for path in self.space)

    @property
    def label(self) -> str:
        """How the display calls it."""
        teacher = f"{self.base.teacher.network.label} → " if self.base.teacher else ""
        return f"{self.arm.name}: {teacher}{self.base.student.label}"


@dataclass(frozen=True)
class Plan:
    """All that a study will run."""

    study: Study
    teachers: tuple[TrialSpec, ...]
    cells: tuple[Cell, ...]
    device: str = "cpu"
    """The kind of device that trains."""

    def budget(self, cell: Cell) -> int:
        """How many configs a cell's search may try."""
        return self.study.spec.search.trials if cell.space else 1

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """The seeds of a config's replicates, the same for every config of every arm."""
        first = SEARCH_SEEDS + self.study.spec.search.seed
        return tuple(range(first, first + self.study.spec.search.replicates))

    @property
    def trial_count(self) -> int:
        """Training runs in all, teachers included."""
        return len(self.teachers) + sum(self.runs(cell) for cell in self.cells)

    def runs(self, cell: Cell) -> int:
        """Training runs of a cell, search and confirmation."""
        confirm, budget = self.study.spec.confirm, self.budget(cell)
        return budget * len(self.search_seeds) + min(confirm.best, budget) * len(confirm.seeds)

    @property
    def predicted_seconds(self) -> float:
        """Training time of all trials on one core or device; a guess to within a factor of about two."""
        of_teachers = sum(predicted_seconds(trial) for trial in self.teachers)
        return of_teachers + sum(self.runs(cell) * predicted_seconds(cell.base) for cell in self.cells)


def plan(study: Study, device: str = "cpu") -> Plan:
    """Works out a study's teachers and cells."""
    cells = {cell.id: cell for cell in _cells(study)}
    teachers = {trial.id: trial for cell in cells.values() if (trial := cell.teacher_trial)}
    return Plan(study, tuple(teachers.values()), tuple(cells.values()), device)


def _cells(study: Study) -> Iterator[Cell]:
    for pair in study.spec.pairs:
        for student in pair.students:
            for arm in study.spec.arms:
                base = base_trial(study.spec, pair, student, arm)
                weight = size(base.student, base.data.shape, base.data.classes)
                yield Cell(arm, study.spec.space_of(arm), base, weight, study.spec.constraints)


def replicate(spec: TrialSpec, seed: int) -> TrialSpec:
    """A trial with another seed."""
    return spec.model_copy(update={"seeds": Seeds.all(seed)})


def confirmation(spec: TrialSpec, seed: int) -> TrialSpec:
    """A finalist's trial on a fresh seed: the one kind of trial that may read the test split."""
    return spec.model_copy(update={"seeds": Seeds.all(seed), "purpose": "confirmation"})


SECONDS_A_LAYER = 0.2e-3
"""Forward and backward of one layer of a small network, on one core (measured: ResNet-8/20 on digits)."""
SECONDS_A_PART = 0.08e-3
"""The same for a layer of a method's parts, which are linear."""
MACS_A_SECOND = 6e10
"""Multiply-adds on one core (measured: ResNet-20 on digits); a GPU does a thousand times as many."""


def predicted_seconds(spec: TrialSpec) -> float:
    """Training time of one trial on one core: a fixed cost a layer and step, plus the arithmetic."""
    if not spec.has_epochs:
        return 0.0
    steps = spec.training.epochs * -(-spec.data.train_count // spec.training.batch_size)
    macs = 3.0 * size(spec.student, spec.data.shape, spec.data.classes).macs
    layers = SECONDS_A_LAYER * _leaves(_ghost(spec.student, spec))
    if spec.teacher and spec.method.needs_teacher:
        macs_of_teacher = size(spec.teacher.network, spec.data.shape, spec.data.classes).macs
        macs += macs_of_teacher * min(1.0, (spec.data.views or spec.training.epochs) / spec.training.epochs)
        layers += SECONDS_A_PART * _part_layers(spec)
    return steps * (layers + macs * spec.training.batch_size / MACS_A_SECOND)


def _part_layers(spec: TrialSpec) -> int:
    """Layers of a method's parts that a step runs; the adversary's run three times."""
    with torch.device("meta"):
        labels = torch.empty(spec.data.train_count, dtype=torch.int64)
        pairing = Pairing.of(spec.taps, labels, spec.data.classes)
        student, adversary = spec.method.student_part(pairing), spec.method.adversary(pairing)
    return _leaves(student) + 3 * (_leaves(adversary) if adversary else 0)


def _ghost(network: Architecture, spec: TrialSpec) -> nn.Module:
    """A network without memory, to be counted."""
    with torch.device("meta"):
        return network.build(spec.data.shape[0], spec.data.classes)


def _leaves(module: nn.Module) -> int:
    return sum(1 for child in module.modules() if not list(child.children()) and list(child.parameters()))
