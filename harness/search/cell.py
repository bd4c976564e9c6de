"""One cell's search from the first proposal to the last confirmation, written as it happens.

The search yields the assignments that it needs next and is sent their records once all have ended; who
runs them, and where, is not its business.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import log10
from statistics import fmean
from typing import Literal

from harness.record import TrialRecord
from harness.search.sampling import Proposal, Sampling
from harness.study.plan import Cell, Plan, confirmation, replicate
from harness.train.account import Assignment

Steps = Generator[list[Assignment], list[TrialRecord], None]


@dataclass(frozen=True)
class Tried:
    """A proposal with its replicates' records."""

    proposal: Proposal
    trials: tuple[TrialRecord, ...]

    @property
    def error(self) -> float | None:
        """1 − mean validation accuracy over the replicates; None unless every one completed."""
        accuracies = [trial.validation_accuracy for trial in self.trials if trial.validation_accuracy is not None]
        return 1 - fmean(accuracies) if len(accuracies) == len(self.trials) else None

    def size(self, objective: Literal["params", "macs"]) -> int:
        """The student's size, which no training changes."""
        return self.trials[0].params if objective == "params" else self.trials[0].macs


def search_cell(cell: Cell, plan: Plan) -> Steps:
    """The search of a cell: its teacher, its proposals in batches, and the confirmation of its best."""
    study, search = plan.study, plan.study.spec.search
    if cell.teacher_trial:
        yield [Assignment(cell.teacher_trial, study.name, arm="teacher")]

    sampling = Sampling(cell, search)
    tried: list[Tried] = []
    while len(tried) < plan.budget(cell):
        proposals = sampling.ask(min(search.batch, plan.budget(cell) - len(tried)))
        records = yield [
            Assignment(replicate(proposal.spec, seed), study.name, cell.arm.name, proposal.number, proposal.point)
            for proposal in proposals
            for seed in plan.search_seeds
        ]
        count = len(plan.search_seeds)
        for index, proposal in enumerate(proposals):
            result = Tried(proposal, tuple(records[index * count : (index + 1) * count]))
            sampling.tell(proposal.number, objectives(result, cell, plan))
            tried.append(result)

    if best := [finalist.proposal for finalist in finalists(tried, study.spec.confirm.best, cell, plan)]:
        yield [
            Assignment(confirmation(proposal.spec, seed), study.name, cell.arm.name, proposal.number, proposal.point)
            for proposal in best
            for seed in study.spec.confirm.seeds
        ]


def objectives(result: Tried, cell: Cell, plan: Plan) -> list[float] | None:
    """What the sampler minimises: the error and, where the student varies, the logarithm of its size."""
    if result.error is None:
        return None
    if not cell.varies_size:
        return [result.error]
    return [result.error, log10(result.size(plan.study.spec.objectives.size))]


def finalists(tried: Sequence[Tried], best: int, cell: Cell, plan: Plan) -> list[Tried]:
    """The configs to confirm: the most accurate, or where size varies a spread of the front.

    A config that was proposed again counts once, by its first number, which its records carry.
    """
    completed: dict[str, Tried] = {}
    for result in tried:
        if result.error is not None:
            completed.setdefault(result.proposal.spec.id, result)
    ranked = sorted(completed.values(), key=lambda result: (result.error, result.proposal.number))
    if not cell.varies_size:
        return ranked[:best]
    objective = plan.study.spec.objectives.size
    front: list[Tried] = []
    for result in ranked:  # from the most accurate on, only what is smaller than all before is on the front
        if not front or result.size(objective) < front[-1].size(objective):
            front.append(result)
    if len(front) <= best:
        return front
    return [front[round(index * (len(front) - 1) / max(1, best - 1))] for index in range(best)]
