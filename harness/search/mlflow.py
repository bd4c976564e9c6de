"""MLflow: an experiment a study and a run a trial, with tags, what was searched, and metrics by epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from harness.record import EpochRecord, TrialRecord
from harness.search.mirror import key, results, scalars
from harness.train.account import Assignment

_KEY = "ksan_harness.trial"
_ENDS = {"completed": "FINISHED", "stopped": "KILLED", "diverged": "FAILED", "failed": "FAILED"}


class Experiment:
    """Keeps one experiment; what it has already is read once, when it is opened."""

    def __init__(self, uri: str, study: str) -> None:
        from mlflow.tracking import MlflowClient

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
        if name in self._runs:
            return
        run = self.client.create_run(self.experiment, tags={_KEY: name, **tags}, run_name=name)
        self._runs[name] = run.info.run_id
        for path, value in point.items():
            self.client.log_param(run.info.run_id, path, value)

    def trained(self, epoch: EpochRecord) -> None:
        self._log(self._keys[epoch.trial_id], epoch)

    def _log(self, name: str, epoch: EpochRecord) -> None:
        if epoch.epoch > self._last.get(name, 0):
            self._last[name] = epoch.epoch
            for metric, value in {**scalars(epoch), "epoch": float(epoch.epoch)}.items():
                self.client.log_metric(self._runs[name], metric, value, step=epoch.epoch)

    def ended(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        name = key(trial.trial_id, trial.attempt)
        tags = {"arm": trial.arm, "student": trial.student, "purpose": trial.purpose, "seed": str(trial.seed)}
        self._open(name, tags, trial.point)
        for epoch in epochs:
            self._log(name, epoch)
        for metric, value in results(trial).items():
            self.client.log_metric(self._runs[name], metric, value)
        self.client.set_terminated(self._runs[name], _ENDS[trial.status])
        self._whole.add(name)

    def close(self) -> None:
        """Nothing: what was sent is there."""
