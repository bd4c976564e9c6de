"""One cell's search from the first proposal to the last confirmation, written as it happens.

The search yields its wishes, the trials that it needs next and how far, and is sent what came of them
once all have come so far; who runs them, and where, is not its business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log10
from statistics import fmean

from harness.record import TrialRecord
from harness.search.sampling import Proposal, Sampling
from harness.study.plan import Cell, Plan, confirmation, replicate
from harness.study.stopping import Standing, survive
from harness.study.study import Size
from harness.train.account import Assignment
from harness.train.packing import most_in_a_pack
from harness.train.trial import TrialSpec


@dataclass(frozen=True)
class Wish:
    """Trials that a search waits for, and paused ones that it gives up, each with the reason."""

    assignments: tuple[Assignment, ...]
    given_up: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """A trial that ended, or that came as far as it was asked to, with its accuracies on validation by epoch."""

    trial: TrialRecord
    accuracies: Mapping[int, float]


Heard = list[News | None]
"""What came of a wish's assignments, in their order; None for one that the budget no longer allows."""

Steps = Generator[Wish, Heard, None]


@dataclass(frozen=True)
class Tried:
    """A proposal with the trials of its seeds."""

    proposal: Proposal
    trials: tuple[TrialRecord, ...]
    replicates: int = 1
    """Seeds that a config that is not given up has."""
    error_when_given_up: float | None = None
    """1 − accuracy at the rung, of the first seed; None unless the config was given up there."""
    is_cut_short: bool = False
    """Whether the budget ended before all of its seeds had."""

    @property
    def error(self) -> float | None:
        """1 − mean validation accuracy over the seeds; None unless every one completed."""
        if self.error_when_given_up is not None or self.is_cut_short:
            return None
        accuracies = [trial.validation_accuracy for trial in self.trials if trial.validation_accuracy is not None]
        return 1 - fmean(accuracies) if accuracies and len(accuracies) == len(self.trials) else None

    @property
    def fidelity(self) -> float:
        """The share of its epochs that a config had, over all of its seeds."""
        whole = self.replicates * max((trial.epochs for trial in self.trials), default=1)
        return min(1.0, sum(trial.epochs_done for trial in self.trials) / whole)

    @property
    def epochs(self) -> int:
        """What the config cost."""
        return sum(trial.epochs_done for trial in self.trials)

    def size(self, objective: Size) -> float:
        """The student's size, which no training changes; a latency as its first trial measured it."""
        return float(getattr(self.trials[0], objective))


def search_cell(cell: Cell, plan: Plan) -> Steps:
    """The search of a cell: its teacher, its proposals in batches, and the confirmation of its best."""
    study, search = plan.study, plan.study.spec.search
    if cell.teacher_trial:
        yield Wish((Assignment(cell.teacher_trial, study.name, arm="teacher"),))

    sampling = Sampling(cell, search)
    training = _Batches(cell, plan)
    tried: list[Tried] = []
    by_config: dict[str, Tried] = {}
    epochs = 0
    while count := _room(len(tried), epochs, cell, plan):
        batch = yield from training.of(sampling.ask(count))
        epochs += sum(result.epochs for result in batch)
        for result in batch:
            tried.append(_with_earlier_seeds(result, by_config))
            sampling.tell(result.proposal.number, objectives(tried[-1], cell, plan), result.fidelity)
        if len(batch) < count or any(result.is_cut_short for result in batch):
            break  # the sampler has no more, or the budget is spent

    if best := [finalist.proposal for finalist in finalists(tried, study.spec.confirm.best, cell, plan)]:
        yield Wish(
            tuple(
                Assignment(
                    confirmation(proposal.spec, seed),
                    study.name,
                    cell.arm.name,
                    proposal.number,
                    proposal.point,
                    packs=packs(proposal.spec, plan),
                    measures_latency=study.spec.objectives.size == "latency",
                )
                for proposal in best
                for seed in study.spec.confirm.seeds
            )
        )


def packs(spec: TrialSpec, plan: Plan) -> bool:
    """Whether a trial trains by the vectorised step: decided before anything runs, so that its numbers are settled."""
    return plan.study.spec.resources.pack > 1 and most_in_a_pack(spec, plan.device) > 1


def _room(tried: int, epochs: int, cell: Cell, plan: Plan) -> int:
    """How many configs the next batch may have: what is left of the budget, if all of them train to the end."""
    search = plan.study.spec.search
    count = min(search.batch, plan.budget(cell) - tried)
    if search.budget.epochs is None:
        return count
    a_config = cell.base.training.epochs * search.replicates
    return max(0, min(count, ceil((search.budget.epochs - epochs) / a_config)))


class _Batches:
    """Trains batches of proposals, each up to the rung at which it is given up, or to its end."""

    def __init__(self, cell: Cell, plan: Plan) -> None:
        self.cell, self.plan = cell, plan
        self.rule = plan.study.spec.search.stopping
        training = cell.base.training
        self._rungs = (
            self.rule.epochs_of_rungs(training.epochs, training.evaluate_every, len(plan.search_seeds))
            if self.rule
            else ()
        )
        self.earlier: dict[int, list[Standing]] = defaultdict(list)
        """What came to each rung before, by the rung's epoch."""

    def of(self, proposals: Sequence[Proposal]) -> Generator[Wish, Heard, list[Tried]]:
        """What came of the proposals, in their order; those that the budget left no time to begin are left out."""
        seeds = {one.number: self._seeds(one) for one in proposals}
        trials: dict[int, dict[str, TrialRecord]] = {one.number: {} for one in proposals}
        given_up: dict[int, float] = {}
        over: dict[str, str] = {}
        cut_short: set[int] = set()
        alive = list(proposals)
        for epoch in self._rungs:
            news = yield Wish(tuple(replace(seeds[one.number][0], until=epoch) for one in alive), over)
            there: dict[int, Standing] = {}
            over = {}
            for one, item in zip(alive, news, strict=True):
                if item is None:
                    cut_short.add(one.number)
                    over |= dict.fromkeys(trials[one.number], "the budget was spent")
                    continue
                trials[one.number][item.trial.trial_id] = item.trial
                if epoch in item.accuracies:
                    there[one.number] = Standing(1 - item.accuracies[epoch], self._size(item.trial))
            losers = self._losers(there, epoch)
            given_up |= {number: there[number].error for number in losers}
            over |= {seeds[number][0].id: why for number, why in losers.items()}
            alive = [one for one in alive if one.number in there and one.number not in losers]
        rest = [(one.number, assignment) for one in alive for assignment in seeds[one.number]]
        news = yield Wish(tuple(assignment for _, assignment in rest), over)
        over = {}
        for (number, assignment), item in zip(rest, news, strict=True):
            if item is None:
                cut_short.add(number)
                over |= {id: "the budget was spent" for id in trials[number] if id == assignment.id}
            else:
                trials[number][item.trial.trial_id] = item.trial
        if over:
            yield Wish((), over)
        return [
            Tried(
                one,
                tuple(found.values()),
                len(self.plan.search_seeds),
                given_up.get(one.number),
                one.number in cut_short
                or (one.number not in given_up and any(trial.status == "stopped" for trial in found.values())),
            )
            for one in proposals
            if (found := trials[one.number])
        ]

    def _losers(self, there: Mapping[int, Standing], epoch: int) -> dict[int, str]:
        """The proposals that are given up at a rung, each with the reason."""
        assert self.rule is not None
        decided = survive(list(there.values()), self.earlier[epoch], self.rule)
        self.earlier[epoch] += there.values()
        count, epochs = len(self.earlier[epoch]), self.cell.base.training.epochs
        return {
            number: f"at epoch {epoch} of {epochs} its accuracy of {1 - standing.error:.4f} was not among "
            f"the best {self.rule.keep:.0%} of the {count} configs so far that it is compared with"
            for (number, standing), goes_on in zip(there.items(), decided, strict=True)
            if not goes_on and number > 0
        }

    def _seeds(self, proposal: Proposal) -> list[Assignment]:
        """The trials of a config; one that is proposed again has seeds of its own."""
        shift = proposal.repeat * len(self.plan.search_seeds)
        return [
            Assignment(
                replicate(proposal.spec, seed + shift),
                self.plan.study.name,
                self.cell.arm.name,
                proposal.number,
                proposal.point,
                packs=packs(proposal.spec, self.plan),
                measures_latency=self.plan.study.spec.objectives.size == "latency",
            )
            for seed in self.plan.search_seeds
        ]

    def _size(self, trial: TrialRecord) -> float:
        return float(getattr(trial, self.plan.study.spec.objectives.size))


def objectives(result: Tried, cell: Cell, plan: Plan) -> list[float] | None:
    """What the sampler minimises: the error and, where the student varies, the logarithm of its size.

    Of a config that was given up, the error where that happened.
    """
    error = result.error if result.error_when_given_up is None else result.error_when_given_up
    if error is None:
        return None
    if not cell.varies_size:
        return [error]
    return [error, log10(result.size(plan.study.spec.objectives.size))]


def _with_earlier_seeds(result: Tried, by_config: dict[str, Tried]) -> Tried:
    """A config that was proposed before, with all of its seeds; noted for when it is proposed again."""
    if result.error is None:
        return result
    id = result.proposal.id
    if id in by_config:
        result = replace(result, trials=(*by_config[id].trials, *result.trials))
    by_config[id] = result
    return result


def finalists(tried: Sequence[Tried], best: int, cell: Cell, plan: Plan) -> list[Tried]:
    """The configs to confirm: the most accurate, or where size varies a spread of the front.

    A config that was proposed again counts once, with all of its seeds, by its first number, which its records
    carry.
    """
    completed: dict[str, Tried] = {}
    for result in tried:
        if result.error is not None:
            first = completed.get(result.proposal.id, result)
            completed[result.proposal.id] = replace(result, proposal=first.proposal)
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
