"""Samplers: who proposes what a search tries next, by name, with their settings and what each can do.

    sampler   several objectives   conditions                       constraints            stopped trials
    tpe       yes                  learns each branch by itself     learns from refusals   ranks them by fidelity
    nsga2     yes                  unsearched genes are inherited   draws again            leaves them out
    nsga3     yes                  unsearched genes are inherited   draws again            leaves them out
    gp        yes                  unsearched fields are noise      models them            leaves them out
    cmaes     no                   unsearched fields are noise      –                      leaves them out
    qmc       yes                  unsearched fields are passed by  draws again            does not look
    random    yes                  draws what is searched           draws again            does not look
    grid      yes                  each point once                  passes them by         does not look

Size, and with it every constraint, is known before training: what violates one is never trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from harness.source import Location, shown
from harness.spec import Spec
from harness.study.domains import FloatRange, IntRange
from harness.study.space import Ground

LARGEST_GRID = 10_000


class TPE(Spec):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate.

    Fields under conditions are modelled in groups of those that are searched together.
    """

    name: Literal["tpe"] = "tpe"
    startup: int = Field(default=5, ge=1)
    """Random proposals before the model is used, the method's defaults among them."""
    candidates: int = Field(default=24, ge=1)
    """Draws of which the most promising is proposed."""
    multivariate: bool | None = None
    """Whether fields are modelled together, as in BOHB (Falkner et al. 2018); where it is not said, they are if there
    is one objective, and with several (Ozaki et al. 2022) each is by itself."""
    constant_liar: bool = True
    """Whether what is proposed and not yet told counts as bad (Ginsbourger et al. 2010), so that a batch spreads."""


class Random(Spec):
    """Uniform proposals (Bergstra & Bengio 2012)."""

    name: Literal["random"] = "random"


class NSGA2(Spec):
    """A Pareto sampler (Deb et al. 2002), for searches in which the student's size varies too."""

    name: Literal["nsga2"] = "nsga2"
    population: int = Field(default=16, ge=2)
    crossover: float = Field(default=0.9, ge=0, le=1)
    """Probability that a child has two parents."""
    mutation: float | None = Field(default=None, ge=0, le=1)
    """Probability that a field is drawn anew; one over the number of fields where it is not said."""


class NSGA3(Spec):
    """NSGA-II with reference directions in place of crowding (Deb & Jain 2014)."""

    name: Literal["nsga3"] = "nsga3"
    population: int = Field(default=16, ge=2)
    crossover: float = Field(default=0.9, ge=0, le=1)
    """Probability that a child has two parents."""
    mutation: float | None = Field(default=None, ge=0, le=1)
    """Probability that a field is drawn anew; one over the number of fields where it is not said."""
    divisions: int = Field(default=12, ge=1, le=100)
    """Into which each objective is divided for the reference directions: with two there is one more."""


class GP(Spec):
    """A Gaussian process with log expected improvement (Ament et al. 2023).

    Where size is an objective too it is expected hypervolume improvement (Daulton et al. 2020). Its kernel is
    Matérn's of 5/2; a proposal takes about half a second.
    """

    name: Literal["gp"] = "gp"
    startup: int = Field(default=10, ge=1)
    """Completed proposals before the model is used; until then they are random."""


class CMAES(Spec):
    """Covariance matrix adaptation over the numeric fields (Hansen & Ostermeier 2001, package `cmaes`).

    Choices and subsets, of which it has no notion, are proposed by TPE, each by itself.
    """

    name: Literal["cmaes"] = "cmaes"
    startup: int = Field(default=1, ge=1)
    """Completed proposals before its first generation; until then they are random."""
    population: int | None = Field(default=None, ge=4)
    """Proposals a generation; 4 + ⌊3 ln n⌋ for n fields where it is not said."""


class QMC(Spec):
    """A quasi-random sequence, scrambled by the search's seed (Sobol 1967, Owen 1998; Halton 1960)."""

    name: Literal["qmc"] = "qmc"
    sequence: Literal["sobol", "halton"] = "sobol"


class Grid(Spec):
    """Every point of a space whose domains all have an end, once, in an order drawn by the search's seed.

    A search whose points are exhausted ends before its budget does.
    """

    name: Literal["grid"] = "grid"


def _by_name(content: object) -> object:
    return {"name": content} if isinstance(content, str) else content


Sampler = Annotated[
    TPE | Random | NSGA2 | NSGA3 | GP | CMAES | QMC | Grid, Field(discriminator="name"), BeforeValidator(_by_name)
]


def misfits(sampler: Sampler, ground: Ground) -> Iterator[tuple[Location, str]]:
    """(where in the space, why) for a search that a sampler cannot do; `()` speaks of the whole space."""
    space = ground.space
    if not space:
        return
    if isinstance(sampler, CMAES):
        if any(path.startswith("student.") for path in space):
            yield (
                (),
                "cmaes has one objective, and a student that is searched adds its size; use nsga2 or gp",
            )
        elif not any(isinstance(domain, (FloatRange, IntRange)) for domain in space.values()):
            yield (), "cmaes varies numbers, and here are none; search a float or int range, or use tpe"
    if isinstance(sampler, Grid):
        endless = [path for path, domain in space.items() if domain.count is None]
        for path in endless:
            yield (path,), "has no end, and a grid tries every value; give it a `step`, write a choice, or use tpe"
        if not endless and sum(1 for _ in islice(ground.points(), LARGEST_GRID + 1)) > LARGEST_GRID:
            counts = {path: domain.count for path, domain in space.items()}
            yield (
                (),
                f"a grid has at most {LARGEST_GRID:,} points, and here are more: {shown(counts)}; use qmc",
            )
