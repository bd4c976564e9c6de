"""The budget's meter: what a run has cost so far, over all of its restarts.

Hours of devices follow from the records. Hours on the wall are those in which a driver ran: they are counted
by a clock that no one sets, and kept beside the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from harness.record import TrialRecord
from harness.store.parquet import Store
from harness.study.study import Budget, Resources

HOUR = 3600.0
NOTED_EVERY = 5.0
"""Seconds between two notes of the hours on the wall: so much a kill can lose of them."""


class Meter:
    """Counts what a search costs, and knows when its budget is spent."""

    def __init__(
        self,
        budget: Budget,
        resources: Resources,
        store: Store,
        trials: Iterable[TrialRecord],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget, self.store, self.clock = budget, store, clock
        self.share = resources.share if resources.asks_for_gpu else float(resources.cpus_per_trial)
        self.device_seconds = 0.0
        """Of search trials, times the share of a device that each has."""
        self._before, self._began = store.wall_seconds(), clock()
        self._noted_at = self._began
        for trial in trials:
            self.count(trial)

    @property
    def wall_seconds(self) -> float:
        """Since the run began, over all drivers."""
        return self._before + self.clock() - self._began

    @property
    def is_spent(self) -> bool:
        """Whether the search has had what it may have."""
        hours, wall_hours = self.budget.device_hours, self.budget.wall_hours
        if hours is not None and self.device_seconds >= hours * HOUR:
            return True
        return wall_hours is not None and self.wall_seconds >= wall_hours * HOUR

    def count(self, trial: TrialRecord) -> None:
        """Adds a trial that ended."""
        if trial.purpose == "search":
            self.device_seconds += trial.wall_seconds * self.share
        self.tick()

    def tick(self) -> None:
        """Notes the hours on the wall, now and then."""
        if self.clock() - self._noted_at >= NOTED_EVERY:
            self._noted_at = self.clock()
            self.store.note_wall_seconds(self.wall_seconds)
