"""MLflow: an experiment a study and a run a trial, with tags, what was searched, and metrics by epoch.

An epoch goes in one batch, which a database behind MLflow takes whole or not at all.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.record import EpochRecord, TrialRecord
from harness.search.mirror import key, results, scalars
from harness.store.parquet import now
from harness.train.account import Assignment

_KEY = "ksan_harness.trial"
_ENDS = {"completed": "FINISHED", "stopped": "KILLED", "diverged": "FAILED", "failed": "FAILED"}


class Experiment:
    """Keeps one experiment; what it has already is read once, when it is opened."""

    def __init__(self, uri: str, study: str) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self._metric, self._param = Metric, Param
        if (file := Path(uri.removeprefix("sqlite:///"))).is_file():
            _check(file)  # MLflow would keep a damaged one open
        for teller in ("mlflow", "alembic"):  # they tell of tables on the screen
            logging.getLogger(teller).setLevel(logging.ERROR)
        self.client: Any = MlflowClient(uri)
        known = self.client.get_experiment_by_name(study)
        self.experiment = known.experiment_id if known else self.client.create_experiment(study)
        self._runs: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self._whole: set[str] = set()
        self._keys: dict[str, str] = {}
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=1000, page_token=token)
            for run in page:
                if name := run.data.tags.get(_KEY):
                    self._runs[name] = run.info.run_id
                    self._last[name] = int(run.data.metrics.get("epoch", 0))
                    if run.info.status != "RUNNING":
                        self._whole.add(name)
            token = page.token
            if not token:
                break

    def lacks(self, trial: TrialRecord) -> bool:
        return key(trial.trial_id, trial.attempt) not in self._whole

    def began(self, assignment: Assignment) -> None:
        spec = assignment.spec
        name = self._keys[assignment.id] = key(assignment.id, assignment.attempt)
        tags = {"arm": assignment.arm, "student": spec.student.label, "purpose": spec.purpose}
        self._open(name, {**tags, "seed": str(spec.seeds.student)}, assignment.point)

    def _open(self, name: str, tags: dict[str, str], point: dict[str, str]) -> None:
        if name not in self._runs:
            run = self.client.create_run(self.experiment, tags={_KEY: name, **tags}, run_name=name)
            self._runs[name] = run.info.run_id
        params = [self._param(path, value) for path, value in point.items()]
        self.client.log_batch(self._runs[name], params=params)  # what is there already is not repeated

    def trained(self, epoch: EpochRecord) -> None:
        self._log(self._keys[epoch.trial_id], epoch)

    def _log(self, name: str, epoch: EpochRecord) -> None:
        if epoch.epoch > self._last.get(name, 0):
            self._send(name, {**scalars(epoch), "epoch": float(epoch.epoch)}, now(), epoch.epoch)
            self._last[name] = epoch.epoch

    def _send(self, name: str, numbers: dict[str, float], at: datetime, step: int) -> None:
        time = int(at.timestamp() * 1000)
        batch = [self._metric(metric, value, time, step) for metric, value in numbers.items()]
        self.client.log_batch(self._runs[name], metrics=batch)

    def ended(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        name = key(trial.trial_id, trial.attempt)
        tags = {"arm": trial.arm, "student": trial.student, "purpose": trial.purpose, "seed": str(trial.seed)}
        self._open(name, tags, trial.point)
        for epoch in epochs:
            self._log(name, epoch)
        self._send(name, results(trial), trial.started_at, trial.epochs_done)  # the time makes a repetition the same
        self.client.set_terminated(self._runs[name], _ENDS[trial.status])
        self._whole.add(name)

    def close(self) -> None:
        """Nothing: what was sent is there."""


def _check(file: Path) -> None:
    """Raises `sqlite3.DatabaseError` for a damaged database."""
    with closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
