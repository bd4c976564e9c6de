"""Early stopping: which configs of a search go on at a rung, decided by pure functions.

A rung is a share of the full schedule, which is never shortened: a config that is given up at a third has
had a third of the whole training, at that training's learning rates. All configs of a batch are compared
at once, with those of earlier batches, when the last of them has come so far; so the decisions depend on
the results alone, not on which worker was faster.

Accuracy alone would delete the small half of an accuracy-versus-size front. A config is therefore compared
with none that is larger than it, or only with those of about its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from pydantic import Field, field_validator

from harness.spec import Spec


class Halving(Spec):
    """Successive halving within a pair and arm (Jamieson & Talwalkar 2016), in an order that respects size.

    It looks at a config's first seed. The method's defaults are never given up: they are what a search is
    compared with.
    """

    name: Literal["halving"] = "halving"
    rungs: tuple[float, ...] = (1 / 3, 1.0)
    """Shares of the schedule. At 1 the first seed is complete and the others are yet to come; with one
    replicate that rung has nothing to save and is left out."""
    keep: float = Field(default=0.5, gt=0, lt=1)
    """The share that goes on."""
    compare: Literal["dominance", "band"] = "dominance"
    """With configs that are not larger, or with those in a band of sizes."""
    band: float = Field(default=2.0, gt=1)
    """Sizes from 1/band to band times a config's own are about its size."""
    least: int = Field(default=4, ge=2)
    """Configs that must be known at a rung before one is given up."""

    @field_validator("rungs")
    @classmethod
    def _rise(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if not rungs or list(rungs) != sorted(set(rungs)) or not 0 < rungs[0] <= rungs[-1] <= 1:
            raise ValueError("rungs are shares of the schedule that rise, above 0 and up to 1, such as [0.33, 1]")
        return rungs

    def epochs_of_rungs(self, epochs: int, evaluate_every: int, replicates: int) -> tuple[int, ...]:
        """The epochs after which configs are compared: those of the rungs, or the next that is evaluated."""
        found = {min(epochs, evaluate_every * ceil(share * epochs / evaluate_every - 1e-9)) for share in self.rungs}
        return tuple(sorted(epoch for epoch in found if epoch < epochs or replicates > 1))


@dataclass(frozen=True)
class Standing:
    """A config at a rung: its error there, and its size; less is better of both."""

    error: float
    size: float


def survive(candidates: Sequence[Standing], earlier: Sequence[Standing], rule: Halving) -> list[bool]:
    """For each candidate, whether it goes on: whether it is among the best `keep` of those it is compared with.

    `earlier` came to this rung before and is not decided again. Equals share their fate.
    """
    known = [*candidates, *earlier]
    if len(known) < rule.least:
        return [True] * len(candidates)
    return [
        _is_among_the_best(one, [other for other in known if _compares(one, other, rule)], rule) for one in candidates
    ]


def _compares(one: Standing, other: Standing, rule: Halving) -> bool:
    if rule.compare == "dominance":
        return other.size <= one.size
    return one.size / rule.band <= other.size <= one.size * rule.band


def _is_among_the_best(one: Standing, others: Sequence[Standing], rule: Halving) -> bool:
    return sum(other.error < one.error for other in others) < rule.keep * len(others)
