"""Carries out a study: plan → records → store. The same call again continues where the last one stopped."""

from __future__ import annotations

from typing import Any

from harness.record import TrialRecord
from harness.search.agenda import Agenda
from harness.search.display import Display
from harness.search.runner import Runner
from harness.source import UserError, shown
from harness.spec import differences
from harness.store.parquet import Store
from harness.study.plan import Plan

HARMLESS = ("id", "question", "search.failures", "resources.gpus_per_trial")
"""What of a study may change between two runs of it: no number depends on it."""


class ChangedStudyError(UserError):
    """The run began with another study of the same name; the message shows what differs."""


def carry_out(plan: Plan, store: Store, runner: Runner, display: Display) -> list[TrialRecord]:
    """Runs what the store does not have yet; returns the trials of this run that failed.

    Raises `ChangedStudyError`, `RunLockedError`, `MissingError` or `TooManyFailuresError`. Whatever stops
    it, every trial that ended is on disk.
    """
    with store.writing():
        refuse_changed(store.frozen_study(), plan.study.resolved, store)
        store.freeze_study(plan.study.resolved, plan.study.text)
        agenda = Agenda(plan, store, [display])
        display.resume(agenda)
        with display:
            runner.run(agenda)
    return agenda.failed


def refuse_changed(frozen: dict[str, Any] | None, asked: dict[str, Any], store: Store) -> None:
    """Raises `ChangedStudyError` where the study differs from the one that the run began with."""
    if frozen is None:
        return
    found = {path: pair for path, pair in differences(frozen, asked).items() if path not in HARMLESS}
    if found:
        raise ChangedStudyError(
            f"{store.root} holds the records of another version of this study:\n"
            + "\n".join(f"  {path}: {shown(old)} → {shown(new)}" for path, (old, new) in found.items())
            + f"\nUndo the change, give the study another name, or keep the old run: mv {store.root} {store.root}.old"
        )
