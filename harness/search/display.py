"""The live display of a search: a table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda, Pack
from harness.search.pace import Pace
from harness.study.plan import Plan
from harness.train.account import Assignment

QUIET = 5.0
"""Seconds between two plain lines."""
ANY = "any student"
"""How the table calls what is searched over the student itself."""
MOST_SHOWN = 12
"""Running trials that the table has a row for: a pack can have dozens."""


class Display:
    """A watcher that shows what is done, running and failed, the best so far, and the time left."""

    def __init__(self, plan: Plan, console: Console, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.plan, self.console, self.workers, self.clock = plan, console, workers, clock
        self.total = plan.trial_count
        self.resumed = 0
        self.said_at = clock()
        self.statuses: dict[str, str] = {}
        """Trial → how its last attempt ended."""
        self.running: dict[str, tuple[Assignment, str]] = {}
        self.best: dict[tuple[str, str], float] = {}
        self.pace = Pace(plan, workers, clock)
        self._varying = {cell.arm.name for cell in plan.cells if cell.varies_size}
        self._live = Live(self, console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def resume(self, agenda: Agenda) -> None:
        """Counts what earlier runs of the same command finished."""
        for trial in agenda.known.values():
            self._count(trial)
        self.pace.resume(agenda)
        self.resumed = self.done
        if self.resumed:
            self.console.print(f"Continuing: {self.resumed} trials are on disk and are not run again.")
        if agenda.foreign:
            ids = ", ".join(trial.trial_id for trial in agenda.foreign[:3]) + (", …" if agenda.foreign[3:] else "")
            text = f"Not used: {ids}: the spec in the record is not the one that its id names."
            self.console.print(Text(text, "yellow"))

    def warn(self, text: str) -> None:
        """Says what a person should know, and goes on."""
        self.console.print(Text(text, "yellow"))

    @property
    def done(self) -> int:
        """Trials that ended, here or in an earlier run, each counted once."""
        return len(self.statuses)

    @property
    def counts(self) -> Counter[str]:
        """Trials by how their last attempt ended."""
        return Counter(self.statuses.values())

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.total = self.done  # a sampler may propose a config twice, which is trained once
        if self._live:
            self._live.stop()
        elif self.done > self.resumed:
            self._say()

    def began(self, pack: Pack) -> None:
        """Notes a pack that a worker took."""
        for assignment in pack:
            self.running[assignment.id] = (assignment, "starting")

    def trained(self, epoch: EpochRecord) -> None:
        """Notes a running trial's epoch."""
        if epoch.trial_id in self.running:
            assignment, _ = self.running[epoch.trial_id]
            self.running[epoch.trial_id] = (assignment, f"epoch {epoch.epoch}/{epoch.epochs}")
        self.pace.came_to(epoch.trial_id, epoch.epoch)

    def paused(self, assignment: Assignment) -> None:
        """Notes that a trial waits at its rung."""
        self.running.pop(assignment.id, None)
        self.pace.came_to(assignment.id, assignment.until or 0)

    def ended(self, trial: TrialRecord) -> None:
        """Counts a trial that ended, and says so at times where there is no table."""
        self.running.pop(trial.trial_id, None)
        self.pace.ended(trial)
        self._count(trial)
        if trial.status == "failed":
            self.console.print(
                Text(f"failed: {trial.arm} on {trial.student}: {trial.error_class}: {trial.error_message}", "red")
            )
        if not self._live and self.clock() - self.said_at >= QUIET:
            self._say()

    def _count(self, trial: TrialRecord) -> None:
        self.statuses[trial.trial_id] = trial.status
        if trial.purpose == "search" and trial.validation_accuracy is not None:
            key = (ANY if trial.arm in self._varying else trial.student, trial.arm)
            self.best[key] = max(self.best.get(key, 0.0), trial.validation_accuracy)

    @property
    def seconds_left(self) -> float | None:
        """From the pace so far; None before the first epoch. At most so many where `is_bound`."""
        return self.pace.seconds_left

    @property
    def is_bound(self) -> bool:
        """Whether stopping or a budget may end the search before the total."""
        return self.plan.study.spec.search.can_end_early

    @property
    def _left(self) -> str:
        seconds = self.seconds_left if self.done < self.total else None
        return f"{'at most ' if self.is_bound else ''}{_clock(seconds)} left" if seconds is not None else ""

    def _say(self) -> None:
        self.said_at = self.clock()
        best = max(self.best.values(), default=None)
        text = f"{self.done}/{self.total} trials, {self.counts['failed']} failed"
        for status in ("diverged", "stopped"):
            if self.counts[status]:
                text += f", {self.counts[status]} {status}"
        if best is not None:
            text += f", best on validation {best:.2%}"
        if self._left:
            text += f", {self._left}"
        self.console.print(Text(text))

    def __rich__(self) -> RenderableType:
        """The table of a terminal."""
        progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        )
        progress.add_task("trials", total=self.total, completed=self.done, left=self._left)
        states = ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items()))
        running = Table.grid(padding=(0, 2))
        for one, state in islice(self.running.values(), MOST_SHOWN):
            running.add_row("running", Text(one.arm), Text(one.spec.student.label), one.spec.purpose, state)
        if len(self.running) > MOST_SHOWN:
            running.add_row(f"and {len(self.running) - MOST_SHOWN} more")
        return Group(progress, Text(states), self._best_table(), running)

    def _best_table(self) -> Table:
        arms = [arm.name for arm in self.plan.study.spec.arms]
        table = Table("best on validation", *map(escape, arms), box=None, padding=(0, 2))
        for student in dict.fromkeys(ANY if cell.varies_size else cell.base.student.label for cell in self.plan.cells):
            cells = [self.best.get((student, arm)) for arm in arms]
            table.add_row(student, *(f"{best:.2%}" if best is not None else "…" for best in cells))
        return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
