"""What somebody might do to a published record: by hand, or with everything sealed anew afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.record import EpochRecord, TrialRecord
from harness.report.record_pages import write_pages
from harness.store.parquet import Store, read_records
from harness.store.published import EPOCHS, read_seal, record_digests, seal, write_records

Change = Callable[[list[TrialRecord]], Sequence[TrialRecord]]


def attempts(folder: Path) -> list[TrialRecord]:
    """The records of a published study."""
    return Store(folder).attempts()


def epochs(folder: Path) -> list[EpochRecord]:
    """Its epochs."""
    rows = read_records(folder / EPOCHS, EpochRecord).to_pylist(maps_as_pydicts="strict")
    return [EpochRecord(**row) for row in rows]


def rewritten(folder: Path, change: Change) -> None:
    """The Parquet file with other records, well written, and nothing else touched."""
    write_records(folder, change(attempts(folder)), epochs(folder))


def sealed_anew(folder: Path) -> None:
    """Provenance and pages made to fit whatever lies in the folder: what a careful forger does."""
    known = read_seal(folder)
    digests = record_digests(attempts(folder), epochs(folder))
    seal(folder, known.study, known.published, digests, known.surroundings)
    (folder / "verified.json").unlink(missing_ok=True)
    write_pages(folder.parent)


def first_confirmed(trials: Sequence[TrialRecord]) -> TrialRecord:
    """A confirmation to change."""
    return next(trial for trial in trials if trial.test_accuracy is not None)


def raised(trials: Sequence[TrialRecord], row: str, points: float = 1.0) -> list[TrialRecord]:
    """The records with a row's test accuracies raised, each to a count of images that there can be."""
    found = []
    for trial in trials:
        if trial.config_id == row and trial.test_accuracy is not None:
            more = round(points / 100 * trial.test_images)
            right = round(trial.test_accuracy * trial.test_images) + max(1, more)
            found.append(replace(trial, test_accuracy=right / trial.test_images))
        else:
            found.append(trial)
    return found
