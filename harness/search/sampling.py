"""Sampling: what a cell tries next, through Optuna's ask and tell.

Optuna's study lives in memory and is never the only copy of anything. A search proposes in batches;
each batch draws from a seed that follows from the cell and its number of proposals, and is told in
order of proposal. So the proposals depend on the results alone, not on which worker was faster, and a
search that starts again from its record repeats them one by one.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState
from pydantic import ValidationError

from harness.source import Problem, SpecError
from harness.spec import content_id, explained
from harness.study.plan import Cell
from harness.study.space import Choice, Domain, FloatRange
from harness.study.study import NSGA2, TPE, Search
from harness.train.trial import TrialSpec

TRIES = 100
"""Proposals in a row that may contradict themselves (each value allowed, together refused)."""
STEPS = 1000
"""Into which a trial's whole length is divided for Optuna, which counts whole steps."""


@dataclass(frozen=True)
class Proposal:
    """A config to try: its number within the cell, what was chosen, and the trial that this makes."""

    number: int
    point: dict[str, str]
    """Dotted path → value as JSON; the defaults where nothing was chosen."""
    spec: TrialSpec
    repeat: int = 0
    """How often this config was proposed before in its cell: a repeat is for further seeds of it."""


class Sampling:
    """The proposals of one cell's search."""

    def __init__(self, cell: Cell, search: Search) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.cell, self.search = cell, search
        self.distributions = {path: distribution(domain) for path, domain in cell.space.items()}
        directions = [optuna.study.StudyDirection.MINIMIZE] * (2 if cell.varies_size else 1)
        self._study = optuna.create_study(directions=directions, sampler=self._sampler(0))
        self._asked: dict[int, optuna.Trial] = {}
        self._count = 0
        self._proposed: Counter[str] = Counter()

    def ask(self, count: int) -> list[Proposal]:
        """The next configs; the first of all is the arm's defaults.

        Raises `SpecError` for a space whose values are refused together, though each is allowed.
        """
        self._study.sampler = self._sampler(self._count)
        return [self._next() for _ in range(count)]

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
        if values is not None and fidelity >= 1:
            self._study.tell(trial, list(values))
            return
        if values is not None:
            trial.set_user_attr("fidelity", fidelity)
            trial.set_user_attr("values", list(values))
            if len(values) == 1:  # Optuna takes a report of a single objective only
                trial.report(values[0], step=round(STEPS * fidelity))
        self._study.tell(trial, state=TrialState.PRUNED)

    def _next(self) -> Proposal:
        number, self._count = self._count, self._count + 1
        proposed = self._defaults() if number == 0 else self._drawn(number)
        repeat = self._proposed[proposed.spec.id]
        self._proposed[proposed.spec.id] += 1
        return replace(proposed, repeat=repeat)

    def _drawn(self, number: int) -> Proposal:
        refusal = ""
        for _ in range(TRIES):
            trial = self._ask()
            values = {path: json.loads(text) for path, text in self._point(trial).items()}
            try:
                spec = self.cell.base.with_values(values)
            except ValidationError as error:
                self._study.tell(trial, state=TrialState.FAIL)
                refusal = explained(error.errors(include_url=False)[0], TrialSpec)
                continue
            self._asked[number] = trial
            return Proposal(number, self._point(trial), spec)
        message = f"its space gave {TRIES} proposals in a row that a trial refuses; the last for {refusal}"
        raise SpecError([Problem(self.cell.label, None, "", message)])

    def _defaults(self) -> Proposal:
        base, space = self.cell.base, self.cell.space
        held = {path: _held(domain, base.value_at(path)) for path, domain in space.items()}
        point = {path: text or json.dumps(base.value_at(path)) for path, text in held.items()}
        if all(held.values()):
            params = {
                path: point[path] if isinstance(space[path], Choice) else json.loads(point[path]) for path in space
            }
            self._study.enqueue_trial(params)
            self._asked[0] = self._ask()
        return Proposal(0, point, base)

    def _ask(self) -> optuna.Trial:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._study.ask(self.distributions)

    def _point(self, trial: optuna.Trial) -> dict[str, str]:
        return {
            path: trial.params[path] if isinstance(domain, Choice) else json.dumps(trial.params[path])
            for path, domain in self.cell.space.items()
        }

    def _sampler(self, asked: int) -> optuna.samplers.BaseSampler:
        seed = int(content_id([self.cell.id, self.search.seed, asked])[:8], 16)
        match self.search.sampler:
            case TPE(startup=startup):
                return optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=startup, multivariate=not self.cell.varies_size
                )
            case NSGA2(population=population):
                return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
        return optuna.samplers.RandomSampler(seed=seed)


def distribution(domain: Domain) -> BaseDistribution:
    """Optuna's form of a domain; a choice's values travel as JSON, since Optuna's are scalars."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([json.dumps(value) for value in domain.choice])
    low, high = domain.bounds
    if isinstance(domain, FloatRange):
        return FloatDistribution(float(low), float(high), log=domain.log, step=domain.step)
    return IntDistribution(int(low), int(high), log=domain.log, step=domain.step)


def _held(domain: Domain, value: object) -> str | None:
    """A value as JSON in the domain's own words (a field's 1.0 is the choice 1); None where it is not in it."""
    if isinstance(domain, Choice):
        alike = (
            choice
            for choice in domain.choice
            if choice == value and isinstance(choice, bool) is isinstance(value, bool)
        )
        return next(map(json.dumps, alike), None)
    low, high = domain.bounds
    return json.dumps(value) if isinstance(value, (int, float)) and low <= value <= high else None
