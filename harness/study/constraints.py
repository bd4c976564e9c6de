"""Constraints: what a student must be, checked before it trains, for its size is known then.

constraints: ["params <= 300000", "macs <= 2e6", "activation_bytes <= 1e6"]
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, PlainSerializer

from harness.source import did_you_mean
from harness.spec import Spec
from harness.train.cost import activation_bytes, size
from harness.train.trial import TrialSpec

Measure = Literal["params", "macs", "activation_bytes"]


class Limit(Spec):
    """The most that a measure of the student may be."""

    measure: Measure
    most: float = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.measure} <= {self.most:,.15g}".replace(",", "")

    def of(self, trial: TrialSpec) -> int:
        """The measure of a trial's student: parameters, multiply-adds of an image, or bytes kept for its gradient."""
        network = (trial.student, trial.data.shape, trial.data.classes)
        if self.measure == "activation_bytes":
            return activation_bytes(*network)
        return size(*network).params if self.measure == "params" else size(*network).macs

    def excess(self, trial: TrialSpec) -> float:
        """By which share of the limit a trial exceeds it; at most 0 where it keeps it."""
        return self.of(trial) / self.most - 1


_WRITTEN = re.compile(r"\s*(\w+)\s*(<=|≤)\s*([0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*")


def _read(content: object) -> object:
    if not isinstance(content, str):
        return content
    if not (found := _WRITTEN.fullmatch(content)):
        raise ValueError('a constraint is a measure and its limit; write "params <= 300000"')
    measure, _, most = found.groups()
    if measure not in get_args(Measure):
        raise ValueError(f"{measure} is not known before training; {did_you_mean(measure, get_args(Measure))}")
    return {"measure": measure, "most": float(most)}


Constraint = Annotated[Limit, BeforeValidator(_read), PlainSerializer(str)]
"""A limit as YAML writes it."""
