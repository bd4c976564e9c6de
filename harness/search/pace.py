"""The time left: what is still to train, at the pace of this run so far.

It is counted in epochs, for stopped trials are shorter than others. What early stopping and budgets may yet spare is
not foreseen, so with them the time left is a bound: a trial that is given up, and the seeds that it then does not
have, come off when that happens.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from harness.record import TrialRecord
from harness.search.agenda import Agenda
from harness.search.budget import HOUR, Meter
from harness.study.plan import Cell, Plan


class Pace:
    """Epochs that are left, and how long one took."""

    def __init__(self, plan: Plan, workers: int, clock: Callable[[], float]) -> None:
        self.plan, self.workers, self.clock = plan, workers, clock
        self.began_at = clock()
        self.trained = 0
        """Epochs of this run."""
        confirm = plan.study.spec.confirm
        self.searching = sum(_search_epochs(plan, cell) for cell in plan.cells)
        """Epochs that the searches have left, running trials whole."""
        self.others = sum(trial.training.epochs for trial in plan.teachers if trial.has_epochs) + sum(
            min(confirm.best, plan.budget(cell)) * len(confirm.seeds) * _epochs(cell) for cell in plan.cells
        )
        """The same of teachers and confirmations."""
        self._at: dict[str, int] = {}
        self._ended: set[str] = set()
        self._meter: Meter | None = None

    def resume(self, agenda: Agenda) -> None:
        """Takes off what earlier runs did."""
        self._meter = agenda.meter
        for trial in agenda.known.values():
            self._take_off(trial)

    def came_to(self, trial_id: str, epoch: int) -> None:
        """Notes how far a running trial is; the first that is heard of it may follow a checkpoint."""
        self.trained += max(0, epoch - self._at.get(trial_id, epoch - 1))
        self._at[trial_id] = epoch

    def ended(self, trial: TrialRecord) -> None:
        """Takes off a trial that ended."""
        self.trained += max(0, trial.epochs_done - self._at.pop(trial.trial_id, 0))
        self._take_off(trial)

    @property
    def seconds_left(self) -> float | None:
        """None before this run's first epoch."""
        if not self.trained:
            return None
        an_epoch = (self.clock() - self.began_at) / self.trained
        underway = sum(self._at.values())
        searching = an_epoch * max(0, self.searching - underway)
        return min([searching, *self._allowed()]) + an_epoch * max(0, self.others - max(0, underway - self.searching))

    def _allowed(self) -> list[float]:
        """What budgets of hours leave to the search, in seconds from now."""
        if self._meter is None:
            return []
        budget, found = self._meter.budget, []
        if budget.wall_hours is not None:
            found.append(max(0.0, budget.wall_hours * HOUR - self._meter.wall_seconds))
        if budget.device_hours is not None:
            left = max(0.0, budget.device_hours * HOUR - self._meter.device_seconds)
            found.append(left / self._meter.share / self.workers)
        return found

    def _take_off(self, trial: TrialRecord) -> None:
        if trial.trial_id in self._ended or trial.status == "failed":
            return
        self._ended.add(trial.trial_id)
        if trial.purpose == "search":
            seeds = len(self.plan.search_seeds) if trial.status == "stopped" else 1
            self.searching = max(0, self.searching - seeds * trial.epochs)
        else:
            self.others = max(0, self.others - trial.epochs)


def _epochs(cell: Cell) -> int:
    return cell.base.training.epochs if cell.base.has_epochs else 0


def _search_epochs(plan: Plan, cell: Cell) -> int:
    """The most that a cell's search may train."""
    search = plan.study.spec.search
    a_config = len(plan.search_seeds) * _epochs(cell)
    whole = plan.budget(cell) * a_config
    if search.budget.epochs is None or not a_config:
        return whole
    return min(whole, ceil(search.budget.epochs / a_config) * a_config)
