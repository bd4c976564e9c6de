"""Mirrors: watchers that repeat a run's numbers to TensorBoard, MLflow or an Optuna journal.

A mirror works in a thread of its own, so that a slow disk or server delays no trial; one that fails is told of once
and left out from then on. Every entry carries its trial's id and attempt: a run that goes on finds what is there,
adds what is missing and repeats nothing.
"""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections.abc import Callable
from functools import partial
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

    def __init__(self, name: str, opened: Callable[[], Mirror], store: Store, warn: Callable[[str], None]) -> None:
        self.name, self.opened, self.store, self.warn = name, opened, store, warn
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

    def _pass_on(self) -> None:
        try:
            mirror = self.opened()
            while (what := self._waiting.get()) is not None:
                what(mirror)
            mirror.close()
        except Exception as error:  # whatever is wrong with a mirror, the run goes on
            self._is_dropped = True
            self.warn(f"{self.name} is left out from here on: {type(error).__name__}: {str(error)[:300]}")


def _begin(assignment: Assignment, mirror: Mirror) -> None:
    mirror.began(assignment)


def mirrors(plan: Plan, store: Store, warn: Callable[[str], None]) -> list[Mirrors]:
    """The mirrors that a study asks for; raises `MissingError` where a package is missing."""
    tracking = plan.study.spec.tracking
    require_packages(tracking)
    found: list[tuple[str, Callable[[], Mirror]]] = []
    if tracking.tensorboard:
        from harness.search.tensorboard import EventFiles

        found.append(("tensorboard", lambda: EventFiles(store.root / "tensorboard")))
    if tracking.mlflow:
        from harness.search.mlflow import Experiment

        uri = tracking.mlflow.uri or f"sqlite:///{(store.root / 'mlflow.db').absolute()}"
        found.append(("mlflow", lambda: Experiment(uri, plan.study.name)))
    if tracking.optuna_journal:
        from harness.search.optuna_journal import Journal

        found.append(("optuna_journal", lambda: Journal(store.root / "optuna.journal", plan)))
    return [Mirrors(name, opened, store, warn) for name, opened in found]


def require_packages(tracking: Tracking) -> None:
    """Raises `MissingError` for a mirror whose package is missing."""
    asked = {"tensorboard": tracking.tensorboard, "mlflow": tracking.mlflow is not None}
    for package, is_asked in asked.items():
        if is_asked and importlib.util.find_spec(package) is None:
            raise MissingError(f"tracking.{package} needs a package: pip install 'ksan-harness[tracking]'")
