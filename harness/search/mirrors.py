"""Mirrors: watchers that repeat a run's numbers to TensorBoard, MLflow or an Optuna journal.

A mirror works in a thread of its own, so that a slow disk or server delays no trial; one that fails is told of once
and left out from then on. Every entry carries its trial's id and attempt: a run that goes on finds what is there,
adds what is missing and repeats nothing. A file of a mirror's that cannot be read is set aside, and a new one filled
from the records.
"""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda, Pack
from harness.search.mirror import Mirror
from harness.source import MissingError
from harness.store.parquet import Store
from harness.study.plan import Plan
from harness.study.tracking import Tracking
from harness.train.account import Assignment

PATIENCE, PATIENCE_WHEN_INTERRUPTED = 30.0, 1.0
"""Seconds that a mirror has at the end for what it has yet to repeat."""


class Mirrors:
    """A watcher that passes everything on to a mirror, in its thread."""

    def __init__(
        self,
        name: str,
        opened: Callable[[], Mirror],
        store: Store,
        warn: Callable[[str], None],
        file: Path | None = None,
    ) -> None:
        self.name, self.opened, self.store, self.warn, self.file = name, opened, store, warn, file
        self._waiting: queue.SimpleQueue[Callable[[Mirror], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._pass_on, name=name, daemon=True)
        self._is_dropped = False

    def resume(self, agenda: Agenda) -> None:
        """Puts what earlier runs recorded on the list, where the mirror lacks it."""
        for trial in agenda.known.values():
            self._waiting.put(partial(self._add, trial))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join(PATIENCE if kind is None else PATIENCE_WHEN_INTERRUPTED)
        if self._thread.is_alive():
            self._is_dropped = True
            self.warn(f"{self.name} is behind and was left so; the same command adds what it lacks")

    def began(self, pack: Pack) -> None:
        """Passes on that trials run."""
        for assignment in pack:
            self._put(partial(_begin, assignment))

    def trained(self, epoch: EpochRecord) -> None:
        """Passes an epoch on."""
        self._put(lambda mirror: mirror.trained(epoch))

    def paused(self, assignment: Assignment) -> None:
        """Nothing: a trial at its rung is one that runs."""

    def ended(self, trial: TrialRecord) -> None:
        """Passes on that a trial ended."""
        self._put(partial(self._add, trial))

    def _add(self, trial: TrialRecord, mirror: Mirror) -> None:
        if mirror.lacks(trial):
            mirror.ended(trial, self.store.epochs(trial))

    def _put(self, what: Callable[[Mirror], None]) -> None:
        if not self._is_dropped:
            self._waiting.put(what)

    def _opened(self) -> Mirror:
        try:
            return self.opened()
        except Exception as error:
            if not (self.file and self.file.is_file()):
                raise
            self.file.replace(aside := self.file.with_name(self.file.name + ".damaged"))
            self.warn(f"{aside} could not be read ({_said(error)}); it was set aside and is filled anew")
            return self.opened()

    def _pass_on(self) -> None:
        try:
            mirror = self._opened()
            while (what := self._waiting.get()) is not None:
                what(mirror)
            mirror.close()
        except Exception as error:  # whatever is wrong with a mirror, the run goes on
            self._is_dropped = True
            self.warn(f"{self.name} is left out from here on: {_said(error)}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _begin(assignment: Assignment, mirror: Mirror) -> None:
    mirror.began(assignment)


def mirrors(plan: Plan, store: Store, warn: Callable[[str], None]) -> list[Mirrors]:
    """The mirrors that a study asks for; raises `MissingError` where a package is missing."""
    tracking = plan.study.spec.tracking
    require_packages(tracking)
    found: list[Mirrors] = []
    if tracking.tensorboard:
        from harness.search.tensorboard import EventFiles

        found.append(Mirrors("tensorboard", lambda: EventFiles(store.root / "tensorboard"), store, warn))
    if tracking.mlflow:
        from harness.search.mlflow import Experiment

        own = None if tracking.mlflow.uri else store.root / "mlflow.db"
        uri = tracking.mlflow.uri or f"sqlite:///{(store.root / 'mlflow.db').absolute()}"
        found.append(Mirrors("mlflow", lambda: Experiment(uri, plan.study.name), store, warn, own))
    if tracking.optuna_journal:
        from harness.search.optuna_journal import Journal

        journal = store.root / "optuna.journal"
        found.append(Mirrors("optuna_journal", lambda: Journal(journal, plan), store, warn, journal))
    return found


def require_packages(tracking: Tracking) -> None:
    """Raises `MissingError` for a mirror whose package is missing."""
    asked = {"tensorboard": tracking.tensorboard, "mlflow": tracking.mlflow is not None}
    for package, is_asked in asked.items():
        if is_asked and importlib.util.find_spec(package) is None:
            raise MissingError(f"tracking.{package} needs a package: pip install 'ksan-harness[tracking]'")
