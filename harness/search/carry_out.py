"""Carries out a study: plan → records → store. The same call again continues where the last one stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.data.splits import cut
from harness.record import TrialRecord
from harness.search.agenda import Agenda, TooManyFailuresError
from harness.search.display import Display
from harness.search.draining import interrupts_drain
from harness.search.live import LiveFile
from harness.search.mirrors import mirrors
from harness.search.runner import Runner
from harness.source import UserError, shown
from harness.spec import differences
from harness.store.parquet import Store
from harness.study.plan import Plan

PLACES = ("data.path", "data.folder", "data.workers", "checkpoint.path")
"""Ends of fields that say where content lies or who reads it; the content has a digest beside it."""
HARMLESS = (
    *("id", "question", "reference", "search.failures", "tracking"),
    *("resources.gpus_per_trial", "resources.answers_gigabytes"),
)
"""What of a study may change between two runs of it: no number depends on it."""


class ChangedStudyError(UserError):
    """The run began with another study of the same name; the message shows what differs."""


def carry_out(
    plan: Plan,
    store: Store,
    runner: Runner,
    display: Display,
    device: str,
    prepare: Callable[[], None] = lambda: None,
) -> list[TrialRecord]:
    """Runs what the store does not have yet; returns the trials of this run that failed.

    The study is frozen with the kind of device that computes, for another one rounds differently.
    `prepare` is called before the first of them. Raises `ChangedStudyError`, `RunLockedError`, `MissingError`,
    `DataError` or `TooManyFailuresError`. Whatever stops it, every trial that ended is on disk.
    """
    with store.writing():
        asked = {**plan.study.resolved, "device": device}
        refuse_changed(store.frozen_study(), asked, store)
        store.freeze_study(asked, plan.study.text)
        live, mirrored = LiveFile(store, display), mirrors(plan, store, display.warn)
        agenda = Agenda(plan, store, [display, live, *mirrored])
        display.resume(agenda)
        if not agenda.is_finished:
            prepare()
        with ExitStack() as watching:
            watching.enter_context(display)
            watching.enter_context(live.of(agenda))
            for mirror in mirrored:
                mirror.resume(agenda)
                watching.enter_context(mirror)
            watching.enter_context(interrupts_drain(agenda))
            runner.run(agenda)
        for cause, count in agenda.parted.items():
            display.warn(f"{count} trials that were given out together went on in smaller packs or alone: {cause}")
    return agenda.failed


def refuse_nothing_confirmed(store: Store) -> None:
    """Raises `TooManyFailuresError` with what became of the trials where a run ended without a confirmed student."""
    trials = [trial for trial in store.trials() if trial.purpose != "teacher"]
    if not trials or any(trial.purpose == "confirmation" and trial.status == "completed" for trial in trials):
        return
    counts = Counter(trial.status for trial in trials)
    causes = Counter(f"{trial.error_class}: {_reason(trial)}" for trial in trials if trial.error_class)
    told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    raise TooManyFailuresError(
        f"no student could be confirmed: of {len(trials)} trials, {told}; mend what failed, or lower the learning rate "
        f"where training diverged, and run the same command again"
        + "".join(f"\n  {count} × {cause}" for cause, count in causes.most_common(5))
    )


def _reason(trial: TrialRecord) -> str:
    """The first line of why a trial failed."""
    return (trial.error_message or "").partition("\n")[0]


def fetch_data(plan: Plan, root: Path) -> None:
    """Downloads and decodes what the plan needs, once, on all cores, where a person sees it and what is wrong with it:
    data, and pretrained weights.

    Raises `MissingError` or `DataError`.
    """
    for data in {cell.base.data.id: cell.base.data for cell in plan.cells}.values():
        cut(data, root)
    networks = [(trial.student, trial.data) for trial in (*plan.teachers, *(cell.base for cell in plan.cells))]
    for network, data in {network.id: (network, data) for network, data in networks if network.is_pretrained}.values():
        network.load_pretrained(network.build(data.shape[0], data.classes))


def refuse_changed(frozen: dict[str, Any] | None, asked: dict[str, Any], store: Store) -> None:
    """Raises `ChangedStudyError` where the study differs from the one that the run began with."""
    if frozen is None:
        return
    found = {
        path: pair
        for path, pair in differences(frozen, asked).items()
        if path not in HARMLESS and path.partition(".")[0] not in HARMLESS and not path.endswith(PLACES)
    }
    if found:
        remedy = f"undo the change, give the study another name, or keep the old run: mv {store.root} {store.root}.old"
        if "device" in found:
            remedy = f"go on with `--device {found['device'][0]}`, or {remedy}"
        raise ChangedStudyError(
            f"{store.root} holds the records of another version of this study:\n"
            + "\n".join(f"  {path}: {shown(old)} → {shown(new)}" for path, (old, new) in found.items())
            + f"\nTo mend this, {remedy}"
        )
