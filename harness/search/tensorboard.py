"""TensorBoard's event files: a folder a trial, with scalars an epoch, and its settings and results at its end."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from harness.record import EpochRecord, TrialRecord
from harness.search.mirror import key, results, scalars
from harness.train.account import Assignment

_WHOLE = "whole"
"""A file in the folder of a trial that ended: all of it is there."""


class EventFiles:
    """Writes event files; those of a trial that goes on replace what an earlier run wrote of the same epochs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writers: dict[str, SummaryWriter] = {}
        self._last: dict[str, int] = {}
        self._keys: dict[str, str] = {}

    def lacks(self, trial: TrialRecord) -> bool:
        return not (self.root / key(trial.trial_id, trial.attempt) / _WHOLE).exists()

    def began(self, assignment: Assignment) -> None:
        self._keys[assignment.id] = key(assignment.id, assignment.attempt)

    def trained(self, epoch: EpochRecord) -> None:
        self._write(epoch, self._keys[epoch.trial_id])

    def _write(self, epoch: EpochRecord, name: str) -> None:
        if epoch.epoch <= self._last.get(name, 0):
            return  # a trial that goes on past its rung tells of all its epochs again
        if name not in self._writers:
            folder = self.root / name
            if epoch.epoch == 1:
                shutil.rmtree(folder, ignore_errors=True)
            self._writers[name] = SummaryWriter(str(folder), purge_step=epoch.epoch)
        for tag, value in scalars(epoch).items():
            self._writers[name].add_scalar(tag, value, epoch.epoch)
        self._last[name] = epoch.epoch

    def ended(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        name = key(trial.trial_id, trial.attempt)
        if name not in self._writers:
            shutil.rmtree(self.root / name, ignore_errors=True)
        for epoch in epochs:
            self._write(epoch, name)
        self._last.pop(name, None)
        writer = self._writers.pop(name, None) or SummaryWriter(str(self.root / name))
        known = {"arm": trial.arm, "student": trial.student, "purpose": trial.purpose, "seed": trial.seed}
        writer.add_hparams({**known, **trial.point}, results(trial), run_name=".")
        writer.close()
        (self.root / name / _WHOLE).touch()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
