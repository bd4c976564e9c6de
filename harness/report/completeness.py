"""Whether all that a study asks for is there: every pair, student and arm, as many rows of each, and just its seeds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from harness.analysis.wording import counted
from harness.record import TrialRecord

_PLACES = {"path", "folder", "workers"}
"""Settings of a data set that say where it lies or who reads it: another machine has others."""


@dataclass
class _Cell:
    """An arm with one student of one pair: what it is, and the configs of it that were searched and confirmed."""

    pair: int
    arm: str
    data: object
    teacher: object
    student: Mapping[str, Any]
    """Its settings but for those that the arm searches."""
    begun: bool = False
    searched: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        settings = ", ".join(f"{name}: {value}" for name, value in self.student.items() if value is not None)
        return f"the arm {self.arm} on the student {{{settings}}} of pair {self.pair}"

    def has(self, trial: TrialRecord, spec: Mapping[str, Any]) -> bool:
        """Whether a trial with this spec is one of its own."""
        student, teacher = spec.get("student") or {}, (spec.get("teacher") or {}).get("network")
        is_same_student = all(student.get(name) == value for name, value in self.student.items())
        is_same_data = _placeless(spec.get("data")) == self.data
        return trial.arm == self.arm and is_same_student and is_same_data and teacher in (None, self.teacher)


def completeness_faults(frozen: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Iterator[str]:
    """What the resolved study asks for and its trials, each with its last attempt, do not have; and seeds too many.

    A study with a budget may have ended before it came to a cell.
    """
    confirm = frozen.get("confirm") or {}
    best, has_budget = int(confirm.get("best", 1)), any(((frozen.get("search") or {}).get("budget") or {}).values())
    cells = list(_cells(frozen))
    for trial in trials:
        spec = json.loads(trial.spec)
        for cell in cells if trial.purpose != "teacher" else ():
            if cell.has(trial, spec):
                _count(cell, trial)
    for cell in cells:
        if not cell.begun and not has_budget:
            yield f"no trial of {cell.name} is here, and the study asks for it"
        lacking = min(best, len(cell.searched)) - len(cell.confirmed)
        if lacking > 0:
            yield f"{counted(lacking, 'row')} of {cell.name} was not confirmed, though it was searched to the end"
    yield from _seeds(set(confirm.get("seeds") or ()), trials)


def _cells(frozen: Mapping[str, Any]) -> Iterator[_Cell]:
    for number, pair in enumerate(frozen.get("pairs", ()), start=1):
        data = _placeless(pair.get("data") or frozen.get("data"))
        for student, arm in product(pair["students"], frozen.get("arms", ())):
            space = {**(frozen.get("space") or {}), **(arm.get("space") or {})}
            varied = {path.split(".")[1] for path in space if path.startswith("student.")}
            fixed = {name: value for name, value in student.items() if name not in varied}
            yield _Cell(number, arm.get("label") or arm["method"]["name"], data, pair.get("teacher"), fixed)


def _placeless(data: object) -> object:
    return {name: value for name, value in data.items() if name not in _PLACES} if isinstance(data, dict) else data


def _count(cell: _Cell, trial: TrialRecord) -> None:
    cell.begun = True
    if trial.purpose == "confirmation":
        cell.confirmed.add(trial.config_id)
    elif trial.is_full_length:
        cell.searched.add(trial.config_id)


def _seeds(asked: set[int], trials: Sequence[TrialRecord]) -> Iterator[str]:
    found: dict[str, set[int]] = defaultdict(set)
    for trial in trials:
        if trial.purpose == "confirmation":
            found[trial.config_id].add(trial.seed)
    for config, seeds in sorted(found.items()):
        for lacking, said in ((asked - seeds, "lacks"), (seeds - asked, "has")):
            if asked and lacking:
                which = ", ".join(map(str, sorted(lacking)))
                asks = "which the study asks for" if said == "lacks" else "which the study does not ask for"
                yield f"row {config} {said} confirmation seed {which}, {asks}"
