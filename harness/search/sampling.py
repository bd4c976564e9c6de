"""Sampling: what a cell tries next, through Optuna's ask and tell.

Optuna's study lives in memory and is never the only copy of anything. A search proposes in batches;
each batch draws from a seed that follows from the cell and its number of proposals, and is told in
order of proposal. So the proposals depend on the results alone, not on which worker was faster, and a
search that starts again from its record repeats them one by one. What a sampler keeps (populations, a
covariance, its place in a sequence) it keeps in that study, so that it comes back in the same way.

The method's defaults come first, then the arm's known points; then the sampler's turn begins.
"""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

import optuna
from optuna.trial import TrialState
from pydantic import ValidationError

from harness.search.optuna_forms import Form, Parameters, decoded, encoded, forms, sampler_of, suggested
from harness.source import Problem, SpecError
from harness.spec import content_id, explained
from harness.study.domains import Domain, Subset, Value
from harness.study.plan import Cell
from harness.study.samplers import GP, NSGA2, NSGA3, QMC, TPE, Grid, Random
from harness.study.space import Ground, Values, known_values
from harness.study.study import Search
from harness.train.trial import TrialSpec

TRIES = 100
"""Proposals in a row that may contradict themselves or violate a constraint."""
PATIENCE, PATIENCE_WITH_GP = 20, 3
"""Of these that are the sampler's; the others are uniform, for a model may insist on what is refused. A Gaussian
process takes half a second a proposal and learns nothing from those that are refused."""
STEPS = 1000
"""Into which a trial's whole length is divided for Optuna, which counts whole steps."""


@dataclass(frozen=True)
class Proposal:
    """A config to try: its number within the cell, what was chosen, and the trial that this makes."""

    number: int
    point: dict[str, str]
    """Dotted path → value as JSON, of what is searched beside the rest; the defaults where nothing was chosen."""
    spec: TrialSpec
    repeat: int = 0
    """How often this config was proposed before in its cell: a repeat is for further seeds of it."""

    @cached_property
    def id(self) -> str:
        """What equal configs share, worked out once: it is a hash of the whole spec."""
        return self.spec.id


@dataclass(frozen=True)
class _Drawn:
    """What Optuna was asked for, and the values that this means; None where they make no subset."""

    trial: optuna.Trial
    values: Values | None


class Sampling:
    """The proposals of one cell's search."""

    def __init__(self, cell: Cell, search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.cell, self.search = cell, search
        self.ground = Ground(cell.space, cell.base)
        self.forms: dict[str, Form] = {path: forms(path, domain) for path, domain in cell.space.items()}
        directions = [optuna.study.StudyDirection.MINIMIZE] * (2 if cell.varies_size else 1)
        self._study = optuna.create_study(directions=directions, sampler=self._sampler(0))
        self._first = deque(known_values(point, self.ground) for point in ({}, *cell.arm.known))
        self._grid = self._grid_points() if isinstance(search.sampler, Grid) else None
        self._asked: dict[int, optuna.Trial] = {}
        self._count = 0
        self._proposed: Counter[str] = Counter()

    def ask(self, count: int) -> list[Proposal]:
        """The next configs, fewer where a grid is exhausted; the first of all is the arm's defaults.

        Raises `SpecError` for a space whose values are refused together, though each is allowed.
        """
        self._study.sampler = self._sampler(self._count)
        made = (self._next() for _ in range(count))
        return [proposal for proposal in made if proposal]

    def tell(self, number: int, values: Sequence[float] | None, fidelity: float = 1.0) -> None:
        """What became of a proposal: the objectives, minimised, or None if it gave no value.

        `fidelity` is the share of its length at which a stopped proposal had its values. It is told as pruned,
        as is one without a value: the sampler learns to stay away, and no value is made up. TPE ranks pruned
        ones by their fidelity first; where there are several objectives it takes them for equal, and the other
        samplers leave them out.
        """
        trial = self._asked.pop(number, None)
        if trial is None:
            return
        is_value = values is not None and all(map(isfinite, values))  # Optuna fails what has no number
        if values is not None and is_value and fidelity >= 1:
            self._study.tell(trial, list(values))
            return
        if values is not None and is_value:
            trial.set_user_attr("fidelity", fidelity)
            trial.set_user_attr("values", list(values))
            if len(values) == 1:  # Optuna takes a report of a single objective only
                trial.report(values[0], step=round(STEPS * fidelity))
        self._study.tell(trial, state=TrialState.PRUNED)

    def _next(self) -> Proposal | None:
        proposed = self._given() or self._drawn()
        if proposed is None:
            return None
        self._count += 1
        repeat = self._proposed[proposed.id]
        self._proposed[proposed.id] += 1
        return replace(proposed, repeat=repeat)

    def _given(self) -> Proposal | None:
        """The next of the points that no sampler proposes: the defaults, the known ones, a grid's."""
        while self._first:
            values = self._first.popleft()
            spec = self.ground.trial(values) if values else self.cell.base
            trial = self._enqueued(values)
            if not self._violates(spec):
                return self._proposal(trial, values, spec)
            if trial:
                self._refuse(trial, spec)
        refused = ""
        for values in self._grid or ():
            try:
                spec = self.ground.trial(values)
            except ValidationError:
                continue
            refusal = self._violates(spec)
            if not refusal and spec.id not in self._proposed:
                return self._proposal(self._enqueued(values), values, spec)
            refused = refusal or refused
        if refused and not self._count:
            message = f"no point of its grid can be trained; the last for {refused}"
            raise SpecError([Problem(self.cell.label, None, "", message)])
        return None

    def _drawn(self) -> Proposal | None:
        if self._grid is not None or not self.cell.space:
            return None
        refusal, patience = "", PATIENCE_WITH_GP if isinstance(self.search.sampler, GP) else PATIENCE
        for tried in range(TRIES):
            if tried == patience:
                self._study.sampler = sampler_of(Random(), self._seed(self._count), self.cell)
            drawn = self._ask()
            try:
                spec = None if drawn.values is None else self.ground.trial(drawn.values)
            except ValidationError as error:
                spec, refusal = None, explained(error.errors(include_url=False)[0], TrialSpec)
            if spec is None or drawn.values is None:
                self._study.tell(drawn.trial, state=TrialState.FAIL)
                continue
            if violated := self._violates(spec):
                refusal = violated
                self._refuse(drawn.trial, spec)
                continue
            if tried >= patience:
                self._study.sampler = self._sampler(self._count)
            return self._proposal(drawn.trial, drawn.values, spec)
        message = (
            f"its space gave {TRIES} proposals in a row that cannot be trained; the last for {refusal or 'a subset'}"
        )
        raise SpecError([Problem(self.cell.label, None, "", message)])

    def _proposal(self, trial: optuna.Trial | None, values: Values, spec: TrialSpec) -> Proposal:
        if trial:
            self._bound(trial, spec)
            self._asked[self._count] = trial
        return Proposal(self._count, {path: json.dumps(value) for path, value in values.items()}, spec)

    def _enqueued(self, values: Values) -> optuna.Trial | None:
        """Optuna's trial of a given point; None where a value lies outside of what is searched."""
        parameters: Parameters = {}
        for path, value in values.items():
            if self.ground.held(path, self.ground.whole(path, value)) is None:
                return None
            parameters |= encoded(path, self.cell.space[path], value)
        self._study.enqueue_trial(parameters)
        return self._ask().trial

    def _ask(self) -> _Drawn:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self._study.ask()
            if not isinstance(self.search.sampler, (TPE, Random, Grid)):
                for path in self.ground.order:  # one space for all proposals, whatever of it is searched
                    self._suggested(trial, path)
            if isinstance(self.search.sampler, (NSGA2, NSGA3)):
                _ = trial.relative_params  # else a given point would belong to no generation, and have no children
            whole = True

            def value_of(path: str, domain: Domain) -> Value:
                nonlocal whole
                value = decoded(path, domain, self._suggested(trial, path))
                whole = whole and (not isinstance(domain, Subset) or domain.admits(value))
                return value

            values = self.ground.chosen(value_of)
        return _Drawn(trial, values if whole else None)

    def _suggested(self, trial: optuna.Trial, path: str) -> Parameters:
        return {name: suggested(trial, name, form) for name, form in self.forms[path].items()}

    def _violates(self, spec: TrialSpec) -> str:
        """The constraint that a trial violates, with the number; empty where it keeps all."""
        for limit in self.cell.constraints:
            if limit.excess(spec) > 0:
                return f"{limit}: {spec.student.label} has {limit.of(spec):,}"
        return ""

    def _refuse(self, trial: optuna.Trial, spec: TrialSpec) -> None:
        """Tells what will not be trained as infeasible: pruned, with the constraint that it violates."""
        self._bound(trial, spec)
        self._study.tell(trial, state=TrialState.PRUNED)

    def _bound(self, trial: optuna.Trial, spec: TrialSpec) -> None:
        for limit in self.cell.constraints:
            trial.set_constraint(str(limit), limit.excess(spec))

    def _grid_points(self) -> Iterator[Values]:
        points = list(self.ground.points())
        random.Random(self._seed(0)).shuffle(points)
        yield from points

    def _seed(self, asked: int) -> int:
        return int(content_id([self.cell.id, self.search.seed, asked])[:8], 16)

    def _sampler(self, asked: int) -> optuna.samplers.BaseSampler:
        # A sequence is one for the whole search; all others draw each batch from a seed of its own.
        seed = self._seed(0 if isinstance(self.search.sampler, QMC) else asked)
        return sampler_of(self.search.sampler, seed, self.cell)
