"""Optuna's forms: of a domain as distributions, of a value as parameters, and of our samplers.

A choice's values travel as JSON, since Optuna's are scalars. A subset is one truth value a member, so that each
result teaches the sampler something of every member; where few subsets are allowed, or few of those that
the truth values spell, it is one choice of all.
"""

from __future__ import annotations

import json
import warnings

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from harness.study.domains import Choice, Domain, FloatRange, Subset, Value
from harness.study.plan import Cell
from harness.study.samplers import CMAES, GP, NSGA2, NSGA3, QMC, TPE, Sampler

Form = dict[str, BaseDistribution]
"""Name of a parameter → its distribution."""
Parameters = dict[str, bool | int | float | str]

FEWEST_SPELT = 0.25
"""Share of the truth values' combinations that must be allowed; the others are drawn in vain."""


def forms(path: str, domain: Domain) -> Form:
    """The parameters that stand for a domain."""
    match domain:
        case Choice():
            return {path: CategoricalDistribution([json.dumps(value) for value in domain.choice])}
        case Subset() if _is_spelt(domain):
            return {name: CategoricalDistribution([False, True]) for name in _members(path, domain)}
        case Subset():
            return {path: CategoricalDistribution([json.dumps(value) for value in domain.values()])}
        case FloatRange(bounds=(low, high)):
            return {path: FloatDistribution(low, high, log=domain.log, step=domain.step)}
    low, high = domain.bounds
    return {path: IntDistribution(low, high, log=domain.log, step=domain.step)}


def suggested(trial: optuna.Trial, name: str, form: BaseDistribution) -> bool | int | float | str:
    """What Optuna puts in a parameter's place."""
    match form:
        case CategoricalDistribution(choices=choices):
            value: bool | int | float | str = trial.suggest_categorical(name, choices)  # type: ignore[assignment]
            return value
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
    raise TypeError(f"{form} is none of Optuna's three distributions")


def decoded(path: str, domain: Domain, parameters: Parameters) -> Value:
    """The value that parameters stand for."""
    match domain:
        case Subset() if _is_spelt(domain):
            names = zip(_members(path, domain), domain.members, strict=True)
            return [member for name, member in names if parameters[name]]
        case Choice() | Subset():
            value: Value = json.loads(str(parameters[path]))
            return value
    return parameters[path]


def encoded(path: str, domain: Domain, value: Value) -> Parameters:
    """The parameters that stand for a value of the domain."""
    match domain:
        case Subset() if _is_spelt(domain) and isinstance(value, list):
            names = zip(_members(path, domain), domain.members, strict=True)
            return {name: member in value for name, member in names}
        case Choice() | Subset():
            return {path: json.dumps(value)}
    assert isinstance(value, (int, float))
    return {path: value}


def _is_spelt(domain: Subset) -> bool:
    members = len(domain.members)
    return domain.count > 2 * members and domain.count >= FEWEST_SPELT * 2**members


def _members(path: str, domain: Subset) -> list[str]:
    return [f"{path}[{index}]" for index in range(len(domain.members))]


def sampler_of(settings: Sampler, seed: int, cell: Cell) -> optuna.samplers.BaseSampler:
    """Optuna's sampler for a cell, with its draws fixed by a seed."""
    several = cell.varies_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match settings:
            case TPE():
                return _tpe(seed, settings, several, _is_conditional(cell))
            case NSGA2():
                return optuna.samplers.NSGAIISampler(
                    seed=seed,
                    population_size=settings.population,
                    crossover_prob=settings.crossover,
                    mutation_prob=settings.mutation,
                )
            case NSGA3():
                return optuna.samplers.NSGAIIISampler(
                    seed=seed,
                    population_size=settings.population,
                    crossover_prob=settings.crossover,
                    mutation_prob=settings.mutation,
                    dividing_parameter=settings.divisions,
                )
            case GP():
                return optuna.samplers.GPSampler(
                    seed=seed, n_startup_trials=settings.startup, warn_independent_sampling=False
                )
            case CMAES():
                return optuna.samplers.CmaEsSampler(
                    seed=seed,
                    n_startup_trials=settings.startup,
                    popsize=settings.population,
                    independent_sampler=_tpe(seed, TPE(multivariate=False), several, in_groups=False),
                    warn_independent_sampling=False,
                )
            case QMC():
                return optuna.samplers.QMCSampler(
                    seed=seed, qmc_type=settings.sequence, scramble=True, warn_independent_sampling=False
                )
    return optuna.samplers.RandomSampler(seed=seed)


def _tpe(seed: int, settings: TPE, several: bool, in_groups: bool) -> optuna.samplers.TPESampler:
    together = settings.multivariate if settings.multivariate is not None else not several
    return optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=settings.startup,
        n_ei_candidates=settings.candidates,
        multivariate=together,
        group=in_groups and together,
        constant_liar=settings.constant_liar,
    )


def _is_conditional(cell: Cell) -> bool:
    paths = list(cell.space)
    nested = any(path.startswith(f"{other}.") for path in paths for other in paths)
    return nested or any(domain.when for domain in cell.space.values())
