"""An Optuna journal of a run's search trials: `optuna-dashboard runs/STUDY/optuna.journal` opens it while it grows.

An Optuna study a pair and arm, an Optuna trial a training run: accuracy on validation, and size where the student is
searched. It is written only, never read by the search, whose own Optuna study lives in memory.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import LOCK_FILE_SUFFIX
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.record import EpochRecord, TrialRecord
from harness.search.mirror import key
from harness.search.optuna_forms import encoded, forms
from harness.study.plan import Cell, Plan
from harness.train.account import Assignment, recorded_spec
from harness.train.trial import TrialSpec

_KEY = "trial"
_LONGEST_WRITE = 2.0
"""Seconds after which a journal's lock is one that was left."""
_ENDS = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
}


class Journal:
    """Keeps one journal; what it has already is read once, when it is opened."""

    def __init__(self, path: Path, plan: Plan) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        _mend(path)
        self.plan = plan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.storage = JournalStorage(JournalFileBackend(str(path)))
        self._studies = {cell.id: self._study(cell) for cell in plan.cells}
        self._trials: dict[str, int] = {}
        self._whole: set[str] = set()
        self._keys: dict[str, str] = {}
        self._cells: dict[str, Cell] = {}
        for cell in plan.cells:
            study = self._studies[cell.id]
            for trial in self.storage.get_all_trials(study, deepcopy=False):
                id = self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
                self._trials[trial.user_attrs[_KEY]], self._cells[trial.user_attrs[_KEY]] = id, cell
                if trial.state.is_finished():
                    self._whole.add(trial.user_attrs[_KEY])

    def _study(self, cell: Cell) -> int:
        directions = [StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] if cell.varies_size else [])]
        name = f"{cell.label} ({cell.id[:4]})"
        study = optuna.create_study(storage=self.storage, study_name=name, directions=directions, load_if_exists=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(["accuracy", *([self.plan.study.spec.objectives.size] if cell.varies_size else [])])
        return self.storage.get_study_id_from_name(name)

    def lacks(self, trial: TrialRecord) -> bool:
        return trial.purpose == "search" and key(trial.trial_id, trial.attempt) not in self._whole

    def began(self, assignment: Assignment) -> None:
        if assignment.spec.purpose == "search":
            name = self._keys[assignment.id] = key(assignment.id, assignment.attempt)
            self._open(name, assignment.arm, assignment.spec, assignment.point, assignment.proposal)

    def _open(self, name: str, arm: str, spec: TrialSpec, point: dict[str, str], proposal: int | None) -> None:
        cell = next((cell for cell in self.plan.cells if cell.arm.name == arm and _is_of(spec, cell)), None)
        if name in self._trials or cell is None:
            return
        about = {_KEY: name, "seed": spec.seeds.student, "proposal": proposal, "student": spec.student.label}
        self._cells[name] = cell
        self._trials[name] = self.storage.create_new_trial(self._studies[cell.id], _running(cell, point, about))

    def trained(self, epoch: EpochRecord) -> None:
        name = self._keys.get(epoch.trial_id)
        if name in self._trials and name not in self._whole and epoch.accuracy is not None:
            self.storage.set_trial_intermediate_value(self._trials[name], epoch.epoch, epoch.accuracy)

    def ended(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        name, spec = key(trial.trial_id, trial.attempt), recorded_spec(trial)
        if name not in self._trials and spec:
            self._open(name, trial.arm, spec, trial.point, trial.proposal)
        if name not in self._trials or name in self._whole:
            return
        number = self._trials[name]
        there = self.storage.get_trial(number)
        for epoch in epochs:
            if epoch.accuracy is not None and epoch.epoch not in there.intermediate_values:
                self.storage.set_trial_intermediate_value(number, epoch.epoch, epoch.accuracy)
        if trial.status == "stopped":
            self.storage.set_trial_user_attr(number, "fidelity", trial.epochs_done / trial.epochs)
        values = None if trial.validation_accuracy is None else [trial.validation_accuracy]
        if values and self._cells[name].varies_size:
            values.append(float(getattr(trial, self.plan.study.spec.objectives.size)))
        self.storage.set_trial_state_values(number, _ENDS[trial.status], values)
        self._whole.add(name)

    def close(self) -> None:
        """Nothing: what was written is there."""


def _mend(path: Path) -> None:
    """Removes what a writer that was killed left: its lock, for which Optuna would wait, and a line without an end.

    Raises `ValueError` for a line that is no JSON, which Optuna forgives until another follows it.
    """
    lock = path.with_name(path.name + LOCK_FILE_SUFFIX)
    with suppress(FileNotFoundError):
        if time.time() - lock.lstat().st_mtime > _LONGEST_WRITE:
            lock.unlink()
    if path.is_file():
        *lines, rest = path.read_bytes().split(b"\n")
        for line in lines:
            json.loads(line)
        if rest:
            os.truncate(path, path.stat().st_size - len(rest))


def _running(cell: Cell, point: dict[str, str], about: dict[str, object]) -> FrozenTrial:
    """A trial with what was chosen; values outside of what is searched, such as known ones, stand as attributes."""
    params, distributions = {}, {}
    for path, text in point.items():
        form = forms(path, cell.space[path]) if path in cell.space else {}
        values = encoded(path, cell.space[path], json.loads(text)) if form else {}
        for name, value in values.items():
            if _holds(form[name], value):
                params[name], distributions[name] = value, form[name]
            else:
                about[name] = value
    return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=about)


def _holds(form: BaseDistribution, value: bool | int | float | str) -> bool:
    try:
        return form._contains(form.to_internal_repr(value))
    except ValueError:
        return False


def _is_of(spec: TrialSpec, cell: Cell) -> bool:
    """Whether a trial is one of a cell's: on its data, under its teacher, of its student but for what is searched."""
    ours, base = spec.student.model_dump(), cell.base.student.model_dump()
    kept = [name for name in base if not any(path.split(".")[:2] == ["student", name] for path in cell.space)]
    same = all(ours.get(name) == base[name] for name in kept)
    return same and (spec.data, spec.teacher) == (cell.base.data, cell.base.teacher)
