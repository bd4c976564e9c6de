"""Levels 1 and 2, row by row: what `search.verification` found again, held against the claim by `analysis.claims`."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from harness.analysis.claims import Finding, Repeated, rescored, retrained
from harness.analysis.wording import points
from harness.record import TrialRecord
from harness.report.record import Record
from harness.report.record_pages import write_pages
from harness.search.verification import Again, AlteredRecordError, score_again, train_anew
from harness.store.parquet import Store
from harness.store.verified import Verification, note_verified
from harness.train.account import machine


def verify_rows(
    record: Record,
    rows: Sequence[pd.Series],
    level: int,
    seeds: int,
    reports: Path,
    data_root: Path,
    console: Console,
) -> bool:
    """Verifies rows at level 1, and at 2 where that is asked for; notes and prints each, and whether all hold.

    A row that level 1 refuses is not trained again. Teachers are trained once for all rows.
    """
    holds = True
    try:
        with tempfile.TemporaryDirectory() as cache:
            for row in rows:
                trials = _confirmations(reports, row)
                shipped = [trial for trial in trials if _weights(reports, row, trial).exists()]
                console.print(Text(f"{row['config_id']} ({row['arm']} on {row['student']}, {row['study']})", "bold"))
                found = _at_level_1(reports, row, shipped, data_root)
                _note(record, reports, row, 1, found, shipped, console)
                if level == 2 and (found is None or found.holds):
                    again = _drawn(_candidates(reports, row), shipped, seeds)
                    found = _at_level_2(row, again, Path(cache), data_root)
                    _note(record, reports, row, 2, found, again, console)
                holds &= found is None or bool(found.holds)
    finally:
        write_pages(reports)  # they say what was found, also where the next row could not be looked at
    return holds


def _candidates(reports: Path, row: pd.Series) -> list[TrialRecord]:
    """A row's confirmation trials that came to an end, those that are said to have diverged among them."""
    trials = Store(reports / str(row["study"])).trials()
    own = [one for one in trials if one.config_id == row["config_id"] and one.purpose == "confirmation"]
    return sorted((one for one in own if one.status in ("completed", "diverged")), key=lambda trial: trial.seed)


def _confirmations(reports: Path, row: pd.Series) -> list[TrialRecord]:
    """Those that have a test accuracy, in order of their seeds."""
    return [one for one in _candidates(reports, row) if one.test_accuracy is not None]


def _drawn(trials: Sequence[TrialRecord], shipped: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Which are trained again: drawn, so that nobody knows them beforehand, those that level 1 did not see first."""
    unseen = [trial for trial in trials if trial not in shipped]
    order = [*random.sample(unseen, len(unseen)), *random.sample(shipped, len(shipped))]
    return sorted(order[:count], key=lambda trial: trial.seed)


def _weights(reports: Path, row: pd.Series, trial: TrialRecord) -> Path:
    return reports / str(row["study"]) / "students" / f"{trial.trial_id}.safetensors"


def _at_level_1(reports: Path, row: pd.Series, trials: Sequence[TrialRecord], data_root: Path) -> Finding | None:
    """None where none of the row's students is small enough to be shipped."""
    try:
        found = [(trial, score_again(trial, _weights(reports, row, trial), data_root)) for trial in trials]
    except AlteredRecordError as error:
        return Finding(False, 0.0, str(error))
    if not found:
        return None
    if refused := _refused(row, found):
        return refused
    on_test = rescored([_repeated(*one) for one in found], int(row["test_images"]))
    on_validation = rescored([_validated(*one) for one in found], trials[0].validation_images)
    if on_test.holds and not on_validation.holds:
        return replace(on_validation, said=f"on validation, {on_validation.said}")
    return on_test


def _at_level_2(row: pd.Series, trials: Sequence[TrialRecord], cache: Path, data_root: Path) -> Finding:
    try:
        found = [(trial, train_anew(trial, cache, data_root)) for trial in trials]
    except AlteredRecordError as error:
        return Finding(False, 0.0, str(error))
    for trial, again in found:
        if trial.test_accuracy is None and again.accuracy is not None and again.same_place:
            return Finding(False, 0.0, f"seed {trial.seed} is said to have diverged, and comes to {again.accuracy:.4f}")
    measured = [(trial, again) for trial, again in found if trial.test_accuracy is not None]
    if not measured:
        return Finding(True, 0.0, "diverged again")
    claimed = list(row["accuracies"].values())
    return _refused(row, measured) or retrained([_repeated(*one) for one in measured], claimed)


def _refused(row: pd.Series, found: Sequence[tuple[TrialRecord, Again]]) -> Finding | None:
    """What makes every comparison idle: other data, no accuracy at all, or a record that says what is not so."""
    for trial, again in found:
        if again.strange:
            return Finding(False, 0.0, again.strange)
        if again.accuracy is None:
            return Finding(False, 0.0, f"seed {trial.seed} came to no accuracy: {again.said}")
        if again.data_fingerprint != row["data_fingerprint"]:
            return Finding(False, 0.0, f"the data here are others: {again.data_fingerprint[:12]}")
    return None


def _repeated(trial: TrialRecord, again: Again) -> Repeated:
    assert trial.test_accuracy is not None
    assert again.accuracy is not None
    return Repeated(trial.seed, trial.test_accuracy, again.accuracy, again.same_weights, again.same_place)


def _validated(trial: TrialRecord, again: Again) -> Repeated:
    """The same on validation, by which the search chose."""
    assert trial.validation_accuracy is not None
    assert again.validation is not None
    return Repeated(trial.seed, trial.validation_accuracy, again.validation, again.same_weights, again.same_place)


def _note(
    record: Record,
    reports: Path,
    row: pd.Series,
    level: int,
    found: Finding | None,
    trials: Sequence[TrialRecord],
    console: Console,
) -> None:
    if found is None:
        console.print(Text("  level 1: none of its students is shipped, so there is nothing to score", "yellow"))
        return
    study = record.study(str(row["study"]))
    day, seeds = f"{datetime.now(UTC):%Y-%m-%d}", [trial.seed for trial in trials]
    which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if found.holds is None:
        console.print(Text(f"  level {level}: undecided, {which}: {found.said}", "yellow"), soft_wrap=True)
        return
    entry = Verification(
        *(str(row["config_id"]), level, day, found.holds, found.drift, seeds),
        *(found.said, machine(), study.seal.id),
    )
    note_verified(reports / study.name, [entry])
    verdict = "holds" if found.holds else "REFUSED"
    said = f"  level {level}: {verdict}, {which}, drift {points(found.drift)} points: {found.said}"
    console.print(Text(said, "green" if found.holds else "red"), soft_wrap=True)
