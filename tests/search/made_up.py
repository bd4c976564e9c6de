"""Searches without training: every trial ends with a made-up account, so that thousands end in seconds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from harness.record import TrialRecord
from harness.search.agenda import Agenda
from harness.store.parquet import now
from harness.train.account import Account, Assignment, failed
from tests.records import epochs_of

Judge = Callable[[Assignment], TrialRecord]


def completed(assignment: Assignment, accuracy: float | None = None) -> TrialRecord:
    """The record of a trial that came to an accuracy; by default one that follows from its config."""
    blank = failed(assignment, RuntimeError(), now())
    spec = assignment.spec
    value = int(spec.config_id, 16) % 401 / 400 if accuracy is None else accuracy
    is_confirmation = spec.purpose == "confirmation"
    return replace(
        blank,
        status="completed",
        **dict.fromkeys(("error_class", "error_message", "traceback_digest")),
        epochs_done=spec.training.epochs,
        validation_accuracy=value,
        test_accuracy=value if is_confirmation else None,
    )


def diverged(assignment: Assignment) -> TrialRecord:
    """The record of a trial whose loss became no number."""
    return replace(completed(assignment), status="diverged", validation_accuracy=None, test_accuracy=None)


def broken(assignment: Assignment, error: Exception | None = None) -> TrialRecord:
    """The record of a trial that raised."""
    return failed(assignment, error or RuntimeError("broken"), now())


def account(trial: TrialRecord, until: int | None = None) -> Account:
    """A record with the epochs that it says it had; of a trial that pauses, as far as it was asked to go."""
    epochs = tuple(epochs_of(trial))
    if until is None or until >= trial.epochs_done:
        return Account(trial, epochs)
    paused = replace(trial, status="stopped", epochs_done=until, validation_accuracy=None, test_accuracy=None)
    return Account(paused, epochs[:until])


def walk(
    agenda: Agenda,
    judge: Judge = completed,
    workers: int = 1,
    order: random.Random | None = None,
    stop_after: int | None = None,
) -> list[Assignment]:
    """Carries out an agenda with so many workers, which end in a drawn order; what was handed out.

    A trial tells of its epochs as it goes and, past a rung, of the earlier ones again, as one from a checkpoint does.
    """
    handed_out: list[Assignment] = []
    busy: list[Assignment] = []
    ended = 0
    while not agenda.is_finished and ended != stop_after:
        while len(busy) < workers and (pack := agenda.next_pack()):
            busy.extend(pack)
            handed_out.extend(pack)
        assignment = busy.pop(order.randrange(len(busy)) if order else 0)
        ending = account(judge(assignment), assignment.until)
        for epoch in ending.epochs:
            agenda.trained(epoch)
        agenda.ended(ending)
        ended += 1
    return handed_out
