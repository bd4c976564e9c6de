"""The agenda: hands out what can be run now, and takes in what was run.

It drives one search per cell (see `cell.py`) and is a pure consequence of the plan and of the trials
that ended. A run that starts again walks the same way: the proposals are the same, and a trial that
the store knows is taken from there.

A trial that failed is tried again, at the end of the list, before its search hears of it. If the second
attempt fails too, the search hears that and goes on. Later runs try such a trial again, for its record's
sake; what the search heard once it hears for ever, or its proposals would contradict those on disk.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from harness.record import EpochRecord, TrialRecord
from harness.search.cell import Steps, search_cell
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from harness.study.plan import Plan
from harness.train.account import Account, Assignment, recorded_spec

Pack = tuple[Assignment, ...]
"""Trials that one worker carries out together; one after another until a vectorised step exists."""


ATTEMPTS = 2
"""How often a trial is tried before its search hears that it failed."""


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
        self.known: dict[str, TrialRecord] = {}
        """Trials that need not run: those that ended, well or diverged, here or in an earlier run."""
        self._heard: dict[str, TrialRecord] = {}
        """What the searches are told of a trial, whatever later attempts come to."""
        self._attempts: Counter[str] = Counter()
        self._waiting: deque[Assignment] = deque()
        self._running: dict[str, Assignment] = {}
        self._searches: list[_Search] = []
        self._ended: set[str] = set()
        self._failed: dict[str, TrialRecord] = {}
        self.foreign: list[TrialRecord] = []
        """Records that are not used: the spec in them is not that of their ids."""
        for trial in store.attempts():
            if recorded_spec(trial) is None:
                self._attempts[trial.trial_id] = trial.attempt
                self.foreign.append(trial)
            elif not trial.epochs_done or store.epochs(trial):  # without its epochs the report would have a hole
                self._take_in(trial)
        self.resumed = len(self.known)
        for trial in self.known.values():
            self._tolerate(trial)
        self._listed = set(self.known)
        """Trials that this run need not put on the list any more."""
        for cell in plan.cells:
            steps = search_cell(cell, plan)
            self._go_on(self._asking(steps, next(steps)))

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials of this run whose last attempt raised."""
        return list(self._failed.values())

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

    def is_running(self, assignment: Assignment) -> bool:
        """Whether this attempt of a trial was handed out and has not ended."""
        running = self._running.get(assignment.spec.id)
        return running is not None and running.attempt == assignment.attempt

    def trained(self, epoch: EpochRecord) -> None:
        """A running trial finished an epoch."""
        for watcher in self.watchers:
            watcher.trained(epoch)

    def ended(self, account: Account) -> None:
        """A trial ended: writes its account, then goes on from there.

        Raises `MissingError` for what the machine lacks, `TooManyFailuresError` past the tolerance.
        """
        trial = account.trial
        assignment = self._running.get(trial.trial_id)
        if assignment is None or assignment.attempt != trial.attempt:
            return  # a worker that was lost and replaced may report twice; the first report is on disk
        if trial.error_class == MissingError.__name__:
            raise MissingError(trial.error_message)
        del self._running[trial.trial_id]
        self.store.write(trial, account.epochs)
        self._ended.add(trial.trial_id)
        self._take_in(trial)
        for watcher in self.watchers:
            watcher.ended(trial)
        self._tolerate(trial)
        if trial.trial_id not in self._heard:
            self._waiting.append(replace(assignment, attempt=trial.attempt + 1))
        ready = [search for search in self._searches if set(search.wanted) <= self._heard.keys()]
        self._searches = [search for search in self._searches if search not in ready]
        for search in ready:
            self._go_on(search)

    def _take_in(self, trial: TrialRecord) -> None:
        """Notes an attempt, after those before it."""
        self._attempts[trial.trial_id] = trial.attempt
        if trial.status != "failed":
            self.known[trial.trial_id] = trial
        if trial.status != "failed" or trial.attempt >= ATTEMPTS:
            self._heard.setdefault(trial.trial_id, trial)

    def _go_on(self, search: _Search) -> None:
        """Sends a search on for as long as all that it wants to hear of has ended."""
        while set(search.wanted) <= self._heard.keys():
            try:
                assignments = search.steps.send([self._heard[id] for id in search.wanted])
            except StopIteration:
                return
            search = self._asking(search.steps, assignments)
        self._searches.append(search)

    def _asking(self, steps: Steps, assignments: list[Assignment]) -> _Search:
        """A search that wants some trials; those that are new to this run are put on the list."""
        wanted = tuple(assignment.spec.id for assignment in assignments)
        for id, assignment in zip(wanted, assignments, strict=True):
            if id not in self._listed:
                self._listed.add(id)
                # A teacher goes first: the longest trial, for which most of the others wait.
                put = self._waiting.appendleft if assignment.spec.purpose == "teacher" else self._waiting.append
                put(replace(assignment, attempt=self._attempts[id] + 1))
        return _Search(steps, wanted)

    def _tolerate(self, trial: TrialRecord) -> None:
        self._failed.pop(trial.trial_id, None)
        if trial.status == "completed":
            return
        how = f"{trial.arm} on {trial.student} {trial.status}"
        why = f": {trial.error_class}: {trial.error_message}" if trial.error_class else ""
        if trial.purpose == "teacher":
            raise TooManyFailuresError(f"the teacher {trial.student} {trial.status}{why}; no student can learn from it")
        if trial.status == "failed":
            self._failed[trial.trial_id] = trial
            count, ended = len(self._failed), len(self._ended)
            if count > self.plan.study.spec.search.failures * max(10, ended):
                raise TooManyFailuresError(f"{count} of {ended} trials failed; the last, {how}{why}")
