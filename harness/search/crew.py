"""The crew: which worker has which pack, whoever starts the workers and carries the words between.

starting   was asked for and has not been heard of: nothing is given to it, so nothing waits for its start
free       has said that it has no pack, and is given the next there is
busy       has a pack; what of it has not ended goes to another when the worker is lost
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda, Pack
from harness.source import MissingError
from harness.store.parquet import now
from harness.train.account import Account, Assignment, failed

RETRIES = 5
"""How often a pack whose worker was lost (killed, out of memory) is given to another without having come further."""


class LostWorkerError(Exception):
    """A worker died under a trial as often as it was given to one."""


@dataclass(frozen=True)
class Refusal:
    """A trial that a node could not carry out, for want of what it was to get or to send."""

    assignment: Assignment
    error: Exception


News = EpochRecord | Account | Refusal
Told = TypeVar("Told")


class Crew:
    """The workers of one run, by name, and what each has to do."""

    def __init__(self, agenda: Agenda) -> None:
        self.agenda = agenda
        self.stopped_by: Exception | None = None
        """What ends the run early: an error of the agenda's, or that no worker could be started."""
        self.cause = ""
        """What the last worker that was lost died of, where that is known."""
        self._starting: set[str] = set()
        self._free: deque[str] = deque()
        self._packs: dict[str, Pack] = {}
        """Busy worker → what of its pack has not ended."""
        self._lost: deque[Pack] = deque()
        self._losses: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()
        """How far each trial came, whoever carried it out."""
        self._epochs_at_loss: Counter[str] = Counter()
        """How far each had come when its worker was last lost."""
        self._stillborn = 0
        """Workers that died before they were heard of, since one last stood up or was lost later."""

    @property
    def wanted(self) -> int:
        """How many workers are of use: no more than trials are left, or than memory has room for."""
        left = max(self.agenda.plan.trial_count - len(self.agenda.known), self.agenda.pending)
        return max(1, min(self.agenda.workers, self.agenda.slots or self.agenda.workers, left))

    @property
    def is_over(self) -> bool:
        """Whether no worker is needed any more."""
        has_drained = self.agenda.is_draining and not self._packs
        return bool(self.stopped_by) or self.agenda.is_finished or has_drained

    @property
    def standing(self) -> int:
        """How many workers have started."""
        return len(self._free) + len(self._packs)

    def joins(self, worker: str) -> bool:
        """Whether one more is wanted; it then counts as starting."""
        is_enough = self.standing + len(self._starting) >= self.wanted
        if self.is_over or self.agenda.is_draining or is_enough or self._starts_in_vain:
            return False
        self._starting.add(worker)
        return True

    @property
    def _starts_in_vain(self) -> bool:
        """Whether so many died while they started that others would too; all may have been on one node."""
        return self._stillborn > RETRIES + self.wanted

    def orders(self) -> Iterator[tuple[str, Pack]]:
        """What each free worker is to do next, where there is anything: a pack, or nothing any more."""
        while self._free and (self.agenda.is_draining or self.standing > self.wanted):
            yield self._free.pop(), ()
        while self._free and not self.stopped_by and (pack := self._next()):
            worker = self._free.popleft()
            self._packs[worker] = pack
            yield worker, pack

    def _next(self) -> Pack | None:
        return self._lost.popleft() if self._lost else self.agenda.next_pack()

    def hear(self, worker: str, news: Iterable[News], wants_work: bool) -> None:
        """Takes in what a worker did, and whether it has just come to the end of its pack, or of its start."""
        if worker in self._starting:
            self._starting.remove(worker)
            self._stillborn = 0
        for item in news:
            if isinstance(item, EpochRecord):
                self._epochs[item.trial_id] = max(self._epochs[item.trial_id], item.epoch)
                self._tell(self.agenda.trained, item)
                continue
            account = item if isinstance(item, Account) else Account(_refused(item), ())
            # A trial that is told of is another worker's from here on.
            self._packs[worker] = tuple(one for one in self._packs.get(worker, ()) if one.id != account.trial.trial_id)
            self._tell(self.agenda.ended, account)
        if wants_work:
            if untold := self.left(worker):
                self._give_on(untold)
            self._free.append(worker)

    def left(self, worker: str) -> Pack:
        """Takes a worker off the list, whatever it had; gives what of its pack has not ended."""
        self._starting.discard(worker)
        if worker in self._free:
            self._free.remove(worker)
        return tuple(one for one in self._packs.pop(worker, ()) if self.agenda.is_running(one))

    def lost(self, worker: str) -> None:
        """A worker died: what it had goes to another."""
        self._stillborn = self._stillborn + 1 if worker in self._starting else 0
        if pack := self.left(worker):
            self._give_on(pack)
        if self._starts_in_vain and not self.standing and not self.stopped_by:
            because = f" ({self.cause})" if self.cause else ""
            self.stopped_by = MissingError(
                f"{self._stillborn} workers in a row died while they started{because}; mend that, or without a cluster "
                "let `--runner inline` run all trials in one process"
            )

    def _give_on(self, pack: Pack) -> None:
        """Gives a pack whose worker died to another, as often as `RETRIES` allows."""
        first = f"{pack[0].id}-{pack[0].attempt}"
        come = self._epochs[pack[0].id]
        if come > self._epochs_at_loss[first]:
            self._losses[first] = 0
        self._epochs_at_loss[first] = come
        self._losses[first] += 1
        if self._losses[first] <= RETRIES:
            middle = (len(pack) + 1) // 2 if self._losses[first] > 1 else len(pack)
            # From the second time on in halves: one trial that ends its worker must not do so to others for long.
            self._lost.extend(part for part in (pack[:middle], pack[middle:]) if part)
            return
        because = f" ({self.cause})" if self.cause else ""
        lost = LostWorkerError(f"its worker died {RETRIES + 1} times and the trial came no further{because}")
        for assignment in pack:
            self._tell(self.agenda.ended, Account(failed(assignment, lost, started=now()), ()))

    def _tell(self, to: Callable[[Told], None], what: Told) -> None:
        """What the agenda raises ends the run; trials that ended meanwhile are still put on disk, where that can be."""
        try:
            to(what)
        except Exception as error:
            self.stopped_by = self.stopped_by or error


def _refused(item: Refusal) -> TrialRecord:
    return failed(item.assignment, item.error, started=now())
