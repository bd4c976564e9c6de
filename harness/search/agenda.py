"""The agenda: hands out what can be run now, and takes in what was run.

It drives one search per cell (see `cell.py`) and is a pure consequence of the plan and of the trials
that ended. A run that starts again walks the same way: the proposals are the same, and a trial that
the store knows is taken from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from harness.record import EpochRecord, TrialRecord
from harness.search.cell import Steps, search_cell
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from harness.study.plan import Plan
from harness.train.account import Account, Assignment

Pack = tuple[Assignment, ...]
"""Trials that one worker carries out together; one after another until a vectorised step exists."""


class TooManyFailuresError(UserError):
    """More trials failed than the study tolerates; the message says which."""

    exit_code = 4


class Watcher(Protocol):
    """Someone who looks on: a display, or a test."""

    def began(self, pack: Pack) -> None:
        """A worker took a pack."""

    def trained(self, epoch: EpochRecord) -> None:
        """A running trial finished an epoch."""

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended, and is on disk."""


@dataclass(frozen=True)
class _Search:
    """A cell's search with the trials that it waits for."""

    steps: Steps
    wanted: tuple[str, ...]


class Agenda:
    """What is to be run next; every account is on disk before anything follows from it."""

    def __init__(self, plan: Plan, store: Store, watchers: Iterable[Watcher] = ()) -> None:
        """Raises `TooManyFailuresError` where an earlier run's teacher diverged."""
        self.plan, self.store, self.watchers = plan, store, tuple(watchers)
        # A trial whose epochs are lost counts as not run: the report would have a hole.
        stored = {trial.trial_id: trial for trial in store.trials() if not trial.epochs_done or store.epochs(trial)}
        self.known = {id: trial for id, trial in stored.items() if trial.status != "failed"}
        """Trials that need not run: those that ended, well or diverged, here or in an earlier run."""
        self.resumed = len(self.known)
        self._attempts = {id: trial.attempt for id, trial in stored.items() if trial.status == "failed"}
        self._waiting: deque[Assignment] = deque()
        self._running: dict[str, Assignment] = {}
        self._searches: list[_Search] = []
        self._ended = 0
        self.failed: list[TrialRecord] = []
        """Trials of this run that raised."""
        for trial in self.known.values():
            self._tolerate(trial)
        for cell in plan.cells:
            steps = search_cell(cell, plan)
            self._go_on(self._asking(steps, next(steps)))

    def next_pack(self) -> Pack | None:
        """What a free worker does now; None while all that is left waits for others, or at the end."""
        if not self._waiting:
            return None
        pack = (self._waiting.popleft(),)
        self._running.update({assignment.spec.id: assignment for assignment in pack})
        for watcher in self.watchers:
            watcher.began(pack)
        return pack

    @property
    def is_finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    def trained(self, epoch: EpochRecord) -> None:
        """A running trial finished an epoch."""
        for watcher in self.watchers:
            watcher.trained(epoch)

    def ended(self, account: Account) -> None:
        """A trial ended: writes its account, then goes on from there.

        Raises `MissingError` for what the machine lacks, `TooManyFailuresError` past the tolerance.
        """
        trial = account.trial
        if self._running.pop(trial.trial_id, None) is None:
            return  # a worker that was lost and replaced may report twice; the first report is on disk
        if trial.error_class == MissingError.__name__:
            raise MissingError(trial.error_message)
        self.store.write(trial, account.epochs)
        self.known[trial.trial_id] = trial
        self._ended += 1
        for watcher in self.watchers:
            watcher.ended(trial)
        self._tolerate(trial)
        ready = [search for search in self._searches if set(search.wanted) <= self.known.keys()]
        self._searches = [search for search in self._searches if search not in ready]
        for search in ready:
            self._go_on(search)

    def _go_on(self, search: _Search) -> None:
        """Sends a search on for as long as all that it wants is known."""
        while set(search.wanted) <= self.known.keys():
            try:
                assignments = search.steps.send([self.known[id] for id in search.wanted])
            except StopIteration:
                return
            search = self._asking(search.steps, assignments)
        self._searches.append(search)

    def _asking(self, steps: Steps, assignments: list[Assignment]) -> _Search:
        """A search that wants some trials; those that nobody knows, runs or waits for are put on the list."""
        wanted = tuple(assignment.spec.id for assignment in assignments)
        listed = {assignment.spec.id for assignment in self._waiting} | self._running.keys() | self.known.keys()
        for id, assignment in zip(wanted, assignments, strict=True):
            if id not in listed:
                listed.add(id)
                # A teacher goes first: the longest trial, for which most of the others wait.
                put = self._waiting.appendleft if assignment.spec.purpose == "teacher" else self._waiting.append
                put(replace(assignment, attempt=self._attempts.get(id, 0) + 1))
        return _Search(steps, wanted)

    def _tolerate(self, trial: TrialRecord) -> None:
        if trial.status == "completed":
            return
        how = f"{trial.arm} on {trial.student} {trial.status}"
        why = f": {trial.error_class}: {trial.error_message}" if trial.error_class else ""
        if trial.purpose == "teacher":
            raise TooManyFailuresError(f"the teacher {trial.student} {trial.status}{why}; no student can learn from it")
        if trial.status == "failed":
            self.failed.append(trial)
            if len(self.failed) > self.plan.study.spec.search.failures * max(10, self._ended):
                raise TooManyFailuresError(f"{len(self.failed)} of {self._ended} trials failed; the last, {how}{why}")
