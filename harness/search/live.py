"""The live file's writer: a watcher that says once a second what a run is doing, also when nothing happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from harness.record import EpochRecord, TrialRecord
from harness.search.agenda import Agenda, Pack
from harness.search.display import Display
from harness.store.live import Live, RunningTrial, boot, write_live
from harness.store.parquet import Store, now
from harness.train.account import Assignment

EVERY = 1.0
"""Seconds between two writes."""


class LiveFile:
    """A watcher that keeps `live.json`; a thread of its own writes it, so that a long epoch is no silence."""

    def __init__(self, store: Store, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.display, self.clock = store, display, clock
        self.running: dict[str, RunningTrial] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._keep_writing, name="live file", daemon=True)
        self._agenda: Agenda | None = None

    def of(self, agenda: Agenda) -> Self:
        """The watcher with the agenda that it looks on, which knows at the end whether all is done."""
        self._agenda = agenda
        return self

    def __enter__(self) -> Self:
        self.write("running")
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._writer.join()
        is_finished = kind is None and self._agenda is not None and self._agenda.is_finished
        self.write("finished" if is_finished else "stopped")

    def began(self, pack: Pack) -> None:
        """Notes a pack that a worker took."""
        with self._lock:
            self.running.update({one.id: _running(one) for one in pack})

    def trained(self, epoch: EpochRecord) -> None:
        """Notes a running trial's epoch."""
        with self._lock:
            if epoch.trial_id in self.running:
                known = self.running[epoch.trial_id]
                self.running[epoch.trial_id] = replace(known, epoch=epoch.epoch, epochs=epoch.epochs)

    def paused(self, assignment: Assignment) -> None:
        """Notes that a trial waits at its rung."""
        with self._lock:
            self.running.pop(assignment.id, None)

    def ended(self, trial: TrialRecord) -> None:
        """Notes that a trial ended."""
        with self._lock:
            self.running.pop(trial.trial_id, None)

    def write(self, state: Literal["running", "finished", "stopped"]) -> None:
        """Puts the file in its place; a disk that is full stops the records' writer, not this one."""
        with self._lock:
            running = tuple(self.running.values())
        live = Live(
            state=state,
            total=self.display.done if state == "finished" else self.display.total,
            total_is_bound=self.display.is_bound and state != "finished",
            seconds_left=self.display.seconds_left if state == "running" else None,
            running=running,
            updated_at=now(),
            monotonic=self.clock(),
            boot=boot(),
        )
        with suppress(OSError):
            write_live(self.store.root, live)

    def _keep_writing(self) -> None:
        while not self._ended.wait(EVERY):
            self.write("running")


def _running(assignment: Assignment) -> RunningTrial:
    spec = assignment.spec
    return RunningTrial(
        trial_id=spec.id,
        arm=assignment.arm,
        student=spec.student.label,
        purpose=spec.purpose,
        seed=spec.seeds.student,
        epoch=0,
        epochs=spec.training.epochs if spec.has_epochs else 0,
        started_at=now(),
    )
