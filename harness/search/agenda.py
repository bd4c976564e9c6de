"""The agenda: hands out what can be run now, and takes in what was run.

It drives one search per cell (see `cell.py`) and is a pure consequence of the plan and of the trials
that ended. A run that starts again walks the same way: the proposals are the same, and a trial that
the store knows is taken from there. Only a budget of hours looks at a clock, and what it decided once
follows from the records and the hours on disk.

A trial that its search compares at a rung pauses there, at its checkpoint; when the search gives it up, its
record is written. A trial that failed is tried again, at the end of the list, before its search hears of
it. If the second attempt fails too, the search hears that and goes on. Later runs try such a trial again,
for its record's sake; what the search heard once it hears for ever, or its proposals would contradict
those on disk.

A trial that ran out of memory by itself is tried again alone, and from then on half as many run at a time. A pack
that broke is nobody's failure: its trials wait again, for packs half as large where memory was short, else each by
itself, and what fails then is recorded.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from harness.record import EpochRecord, TrialRecord
from harness.search.budget import Meter
from harness.search.cell import News, Steps, Wish, search_cell
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from harness.study.plan import Plan
from harness.train.account import Account, Assignment, recorded_spec
from harness.train.packing import FEWEST, most_in_a_pack

Pack = tuple[Assignment, ...]
"""Trials that one worker carries out together, as one vectorised step where there are several."""


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

    def paused(self, assignment: Assignment) -> None:
        """A trial waits again: it came to its rung, or its pack broke."""

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended, and is on disk."""


@dataclass(frozen=True)
class _Search:
    """A cell's search with what it waits for."""

    steps: Steps
    wish: Wish


@dataclass(frozen=True)
class _Paused:
    """A trial at its rung, with the attempt that brought it there."""

    account: Account
    attempt: int


class Agenda:
    """What is to be run next; every account is on disk before anything follows from it."""

    def __init__(self, plan: Plan, store: Store, watchers: Iterable[Watcher] = ()) -> None:
        """Raises `TooManyFailuresError` where an earlier run's teacher diverged."""
        self.plan, self.store, self.watchers = plan, store, tuple(watchers)
        self.known: dict[str, TrialRecord] = {}
        """Trials that need not run: those that ended, well or not, here or in an earlier run."""
        self.slots: int | None = None
        """How many trials may run at a time; None as long as none has run out of memory."""
        self.workers = 1
        """How many packs the runner carries out at a time: what waits is shared out among them."""
        self.is_draining = False
        """Whether nothing new begins any more, since someone asked the run to end."""
        self._heard: dict[str, TrialRecord] = {}
        """What the searches are told of a trial, whatever later attempts come to."""
        self._accuracies: defaultdict[str, dict[int, float]] = defaultdict(dict)
        """Trial → epoch → accuracy on validation, for the rungs."""
        self._attempts: Counter[str] = Counter()
        self._waiting: deque[Assignment] = deque()
        self._solitary: deque[Assignment] = deque()
        """Trials that run alone or wait to, since they ran out of memory beside others."""
        self._needs_solitude: set[str] = set()
        self._company: dict[str, int] = {}
        """Running trial → how many train in its pack."""
        self._most_in_a_pack = plan.study.spec.resources.pack
        self._by_itself: set[str] = set()
        """Trials that train in no company any more, since what they were in broke."""
        self._has_begun: set[str] = set()
        """Trials of packs that broke: they wait again, and no budget takes them off the list."""
        self.parted: Counter[str] = Counter()
        """What broke packs → how many trials went on in smaller ones, or by themselves."""
        self._running: dict[str, Assignment] = {}
        self._paused: dict[str, _Paused] = {}
        self._withdrawn: set[str] = set()
        """Trials that the budget no longer allows."""
        self._searches: list[_Search] = []
        self._ended: set[str] = set()
        self._failed: dict[str, TrialRecord] = {}
        self.foreign: list[TrialRecord] = []
        """Records that are not used: the spec in them is not that of their ids."""
        counted = self._take_up_records()
        self.resumed = len(self.known)
        for trial in self.known.values():
            self._tolerate(trial)
        self._listed = set(self.known)
        """Trials that this run need not put on the list any more."""
        self.meter = Meter(plan.study.spec.search.budget, plan.study.spec.resources, store, counted)
        for cell in plan.cells:
            steps = search_cell(cell, plan)
            self._go_on(self._asking(steps, next(steps)))
        self._keep_to_the_budget()

    def _take_up_records(self) -> list[TrialRecord]:
        """Takes in what earlier runs left, and gives every attempt whose cost counts."""
        counted = []
        for trial in self.store.attempts():
            epochs = self.store.epochs(trial)
            if recorded_spec(trial) is None:
                self._attempts[trial.trial_id] = trial.attempt
                self.foreign.append(trial)
            elif not trial.epochs_done or epochs:  # without its epochs the report would have a hole
                self._take_in(trial, epochs)
                counted.append(trial)
        return counted

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials of this run whose last attempt raised."""
        return list(self._failed.values())

    def next_pack(self) -> Pack | None:
        """What a free worker does now; None while all that is left waits for others, or at the end."""
        self._keep_to_the_budget()
        if self.is_draining or self._is_one_alone() or (self.slots is not None and len(self._running) >= self.slots):
            return None
        if self._solitary:
            if self._running:
                return None
            pack: Pack = (self._solitary[0],)  # it stays there while it runs
        elif self._waiting:
            pack = self._gathered()
        else:
            return None
        self._running.update({assignment.id: assignment for assignment in pack})
        self._company.update(dict.fromkeys((assignment.id for assignment in pack), len(pack)))
        for watcher in self.watchers:
            watcher.began(pack)
        return pack

    def _gathered(self) -> Pack:
        """The next trial that waits, with those of its shape that can train as one with it.

        So many that every worker has a share of what waits; the order of the list stays.
        """
        first = self._waiting.popleft()
        if not self._may_gather(first):
            return (first,)
        most = min(self._most_in_a_pack, most_in_a_pack(first.spec, self.plan.device))
        if self.slots is not None:
            most = min(most, max(1, self.slots - len(self._running)))
        alike = [one for one in self._waiting if one.shape == first.shape and self._may_gather(one)]
        share = -(-(len(self._waiting) + 1) // self.workers)
        pack = (first, *alike[: min(most, max(share, FEWEST)) - 1])
        taken = {one.id for one in pack}
        self._waiting = deque(one for one in self._waiting if one.id not in taken)
        return pack

    def _may_gather(self, assignment: Assignment) -> bool:
        return assignment.packs and assignment.attempt == 1 and assignment.id not in self._by_itself

    def _is_one_alone(self) -> bool:
        return any(one.id in self._running for one in self._solitary)

    @property
    def is_finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self._waiting or self._solitary or self._running)

    @property
    def pending(self) -> int:
        """How many trials wait or run; one that runs alone may count twice."""
        return len(self._waiting) + len(self._solitary) + len(self._running)

    def drain(self) -> None:
        """Lets nothing new begin; the runner closes what runs, which leaves it at its checkpoint."""
        self.is_draining = True

    def is_running(self, assignment: Assignment) -> bool:
        """Whether this attempt of a trial was handed out and has not ended."""
        running = self._running.get(assignment.id)
        return running is not None and (running.attempt, running.until) == (assignment.attempt, assignment.until)

    def trained(self, epoch: EpochRecord) -> None:
        """A running trial finished an epoch; a word that comes after a trial's end is too late."""
        self.meter.tick()
        if epoch.trial_id not in self._running:
            return
        for watcher in self.watchers:
            watcher.trained(epoch)

    def ended(self, account: Account) -> None:
        """A trial ended or came to its rung: writes its account if it ended, then goes on from there.

        Raises `MissingError` for what the machine lacks, `TooManyFailuresError` past the tolerance.
        """
        trial = account.trial
        assignment = self._running.get(trial.trial_id)
        if assignment is None or assignment.attempt != trial.attempt:
            return  # a worker that was lost and replaced may report twice; the first report counts
        if trial.status == "stopped" and trial.epochs_done != assignment.until:
            return  # such a worker's report of an earlier rung
        if trial.error_class == MissingError.__name__:
            raise MissingError(trial.error_message)
        del self._running[trial.trial_id]
        self._solitary = deque(one for one in self._solitary if one.id != trial.trial_id)
        company = self._company.pop(trial.trial_id)
        if company > 1 and trial.status == "failed":
            self._part(assignment, trial, company)
        else:
            self._settle(assignment, self._with_earlier_legs(account))
        self._keep_to_the_budget()
        self._serve()

    def _settle(self, assignment: Assignment, account: Account) -> None:
        """Takes in how a trial came to its end or to its rung."""
        trial = account.trial
        if trial.status == "stopped":
            self._pause(account, assignment)
            return
        self._write(account)
        if trial.trial_id not in self._heard:
            self._try_again(assignment, trial)

    def _with_earlier_legs(self, account: Account) -> Account:
        """An account with the time that the trial took before it paused."""
        before = self._paused.pop(account.trial.trial_id, None)
        if before is None or before.attempt != account.trial.attempt:
            return account
        earlier = before.account.trial
        wall = account.trial.wall_seconds + earlier.wall_seconds
        return replace(account, trial=replace(account.trial, wall_seconds=wall, started_at=earlier.started_at))

    def _pause(self, account: Account, assignment: Assignment) -> None:
        trial = account.trial
        self._paused[trial.trial_id] = _Paused(account, trial.attempt)
        self._note(trial.trial_id, account.epochs)
        for watcher in self.watchers:
            watcher.paused(assignment)

    def _part(self, assignment: Assignment, trial: TrialRecord, company: int) -> None:
        """Puts a member of a pack that broke back on the list; it need not be what broke it."""
        if is_out_of_memory(trial):
            self._most_in_a_pack = max(1, min(self._most_in_a_pack, company // 2))
        else:
            self._by_itself.add(trial.trial_id)
        self.parted[f"{trial.error_class}: {trial.error_message}"] += 1
        self._has_begun.add(trial.trial_id)
        self._waiting.append(assignment)
        for watcher in self.watchers:
            watcher.paused(assignment)

    def _write(self, account: Account) -> None:
        """Puts an account on disk and takes it in."""
        trial = account.trial
        self.store.write(trial, account.epochs)
        self._ended.add(trial.trial_id)
        self._take_in(trial, account.epochs)
        self.meter.count(trial)
        for watcher in self.watchers:
            watcher.ended(trial)
        self._tolerate(trial)

    def _give_up(self, id: str, why: str) -> None:
        """Ends a paused trial where it is; one that had ended already stays as it is."""
        paused = self._paused.pop(id, None)
        if paused is None:
            return
        self._write(replace(paused.account, trial=replace(paused.account.trial, stopped_because=why)))
        self.store.drop_checkpoint(id)

    def _try_again(self, assignment: Assignment, trial: TrialRecord) -> None:
        if is_out_of_memory(trial):
            beside = len(self._running) + 1
            self.slots = max(1, min(beside, self.slots or beside) // 2)
            self._needs_solitude.add(trial.trial_id)
        (self._solitary if trial.trial_id in self._needs_solitude else self._waiting).append(
            replace(assignment, attempt=trial.attempt + 1)
        )

    def _take_in(self, trial: TrialRecord, epochs: Iterable[EpochRecord]) -> None:
        """Notes an attempt, after those before it."""
        self._attempts[trial.trial_id] = trial.attempt
        self._note(trial.trial_id, epochs)
        if trial.status != "failed":
            self.known[trial.trial_id] = trial
        if trial.status != "failed" or trial.attempt >= ATTEMPTS:
            self._heard.setdefault(trial.trial_id, trial)

    def _note(self, id: str, epochs: Iterable[EpochRecord]) -> None:
        if self.plan.study.spec.search.stopping:
            self._accuracies[id] |= {one.epoch: one.accuracy for one in epochs if one.accuracy is not None}

    def _news(self, assignment: Assignment) -> News | None:
        """What came of an assignment; None where nothing did yet, or nothing will."""
        id = assignment.id
        trial = self._heard.get(id)
        if trial is None and id in self._paused and _reaches(self._paused[id].account.trial, assignment):
            trial = self._paused[id].account.trial
        return News(trial, self._accuracies.get(id, {})) if trial else None

    def _is_settled(self, wish: Wish) -> bool:
        return all(self._news(one) or one.id in self._withdrawn for one in wish.assignments)

    def _serve(self) -> None:
        """Sends every search on whose wish is settled."""
        ready = [search for search in self._searches if self._is_settled(search.wish)]
        self._searches = [search for search in self._searches if search not in ready]
        for search in ready:
            self._go_on(search)

    def _go_on(self, search: _Search) -> None:
        """Sends a search on for as long as all that it wants to hear of has come so far."""
        while self._is_settled(search.wish):
            try:
                wish = search.steps.send([self._news(one) for one in search.wish.assignments])
            except StopIteration:
                return
            search = self._asking(search.steps, wish)
        self._searches.append(search)

    def _asking(self, steps: Steps, wish: Wish) -> _Search:
        """A search with its next wish; trials that are new to this run, or that go on, are put on the list."""
        for id, why in wish.given_up.items():
            self._give_up(id, why)
        for assignment in reversed(wish.assignments):
            id = assignment.id
            if id in self._paused and not _reaches(self._paused[id].account.trial, assignment):
                # It has begun, and others of its search wait for it.
                line = self._solitary if id in self._needs_solitude else self._waiting
                line.appendleft(replace(assignment, attempt=self._paused[id].attempt))
        for assignment in wish.assignments:
            id = assignment.id
            if id in self._paused:
                continue
            if id not in self._listed:
                self._listed.add(id)
                # A teacher goes first: the longest trial, for which most of the others wait.
                put = self._waiting.appendleft if assignment.spec.purpose == "teacher" else self._waiting.append
                put(replace(assignment, attempt=self._attempts[id] + 1))
        if self.meter.is_spent:
            self._withdraw()
        return _Search(steps, wish)

    def _keep_to_the_budget(self) -> None:
        """Once the budget is spent, takes what has not begun off the list, and lets the searches hear of it."""
        if self.meter.is_spent:
            self._withdraw()
            self._serve()

    def _withdraw(self) -> None:
        for one in self._waiting:
            if one.proposal and one.spec.purpose == "search" and one.id not in self._has_begun:
                self._withdrawn.add(one.id)
        self._waiting = deque(one for one in self._waiting if one.id not in self._withdrawn)

    def _tolerate(self, trial: TrialRecord) -> None:
        self._failed.pop(trial.trial_id, None)
        if trial.status in ("completed", "stopped"):
            return
        how = f"{trial.arm} on {trial.student} {trial.status}"
        why = f": {trial.error_class}: {trial.error_message}" if trial.error_class else ""
        if trial.purpose == "teacher" and (trial.status == "diverged" or trial.attempt >= ATTEMPTS):
            raise TooManyFailuresError(f"the teacher {trial.student} {trial.status}{why}; no student can learn from it")
        if trial.status == "failed":
            self._failed[trial.trial_id] = trial
            count, ended = len(self._failed), len(self._ended)
            if count > self.plan.study.spec.search.failures * max(10, ended):
                raise TooManyFailuresError(
                    f"{count} of {ended} trials failed; the last, {how}{why}{_summary(self._failed.values())}"
                )


def _reaches(trial: TrialRecord, assignment: Assignment) -> bool:
    """Whether a paused trial came as far as an assignment asks for."""
    return assignment.until is not None and trial.epochs_done >= assignment.until


_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says besides `OutOfMemoryError`."""


def is_out_of_memory(trial: TrialRecord) -> bool:
    """Whether a trial failed for want of memory, on a GPU or off it."""
    if trial.error_class in ("OutOfMemoryError", "MemoryError"):
        return True
    is_torchs = trial.error_class in ("RuntimeError", "AcceleratorError")
    return is_torchs and any(words in (trial.error_message or "") for words in _NO_MEMORY)


def _summary(failures: Iterable[TrialRecord]) -> str:
    """The kinds of failures, the commonest first, where there are several."""
    kinds = Counter((trial.error_class, trial.error_message) for trial in failures)
    if len(kinds) < 2:
        return ""
    lines = [f"  {count} × {kind}: {message}" for (kind, message), count in kinds.most_common(5)]
    return "\n".join(["", *lines, *(["  …"] if len(kinds) > 5 else [])])
