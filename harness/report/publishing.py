"""Publishing: a run that ended becomes a folder of a few small files, and the record's pages are written anew.

A folder is made whole beside its place and checked before it takes it, like anybody else's but for the report, which
was just made of these records.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.analysis.cost import origins
from harness.files import write_text_whole
from harness.record import EpochRecord, TrialRecord
from harness.report.consistency import repeatable
from harness.report.integrity import UNREADABLE, faults_beside_the_report
from harness.report.page import report_html
from harness.report.record import read_study, record_of
from harness.report.record_pages import write_pages
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from harness.store.published import (
    RAN_ON,
    REPORT,
    VERIFIED,
    WRITTEN_BY,
    libraries,
    published_folders,
    read_seal,
    record_digests,
    seal,
    write_records,
)
from harness.store.query import read_run, run_of
from harness.store.verified import Verification, note_verified, read_verified

LARGEST = 2**20
"""Bytes of a student that still counts as small."""
MOST = 16 * 2**20
"""Bytes of students that ship with a study; every row's first seed comes before any row's second."""


class UnpublishableError(UserError):
    """A run that no record can be made of as it stands; the message names the remedy."""

    exit_code = 3


def publish(run_folder: Path, reports: Path, day: str) -> Path:
    """Publishes a run below `reports`, in place of an earlier publication of it, and returns its folder.

    `day` is written into it, as 2026-11-27. Raises `UnpublishableError` where nothing was confirmed, a file cannot be
    read (also one of another published study, which the pages tell of) or a check of level 0 fails, and leaves all as
    it was. Its report is not drawn a second time for that.
    """
    store = Store(run_folder)
    frozen = store.frozen_study()
    if frozen is None:
        raise MissingError(f"{run_folder}: is no run, study.json is missing; harness search writes it")
    attempts = store.attempts()
    if store.unread or store.damaged:
        raise UnpublishableError(
            f"{[*store.unread, *store.damaged][0]} cannot be read; run `harness search` again first"
        )
    if not any(trial.test_accuracy is not None for trial in attempts):
        raise UnpublishableError(f"{run_folder}: nothing has been confirmed yet; let `harness search` end first")
    name = str(frozen.get("name", run_folder.name))
    reports.mkdir(parents=True, exist_ok=True)
    for other in published_folders(reports):
        if other.name != name:
            _refuse_unreadable(other)
    with _made_beside(reports / name) as folder:
        for file in ("study.yaml", "study.json"):
            shutil.copyfile(run_folder / file, folder / file)
        write_text_whole(folder / f"{name}.yaml", repeatable(frozen))
        _copy_students(store, attempts, folder)
        epochs = _epochs(store)
        write_records(folder, attempts, epochs, store.looks())
        write_text_whole(folder / REPORT, report_html(read_run(folder)))
        surroundings = {WRITTEN_BY: libraries(), RAN_ON: origins(run_of(folder, frozen, attempts).trials)}
        seal(folder, name, day, record_digests(attempts, epochs), surroundings)
        wrong = faults_beside_the_report(folder)
        if wrong:
            raise UnpublishableError(
                f"{run_folder} is not fit to be published: " + "; ".join(fault.said for fault in wrong[:5])
            )
        _keep_verified(reports / name, folder)
        _note_level_0(folder, day)
    write_pages(reports)
    return reports / name


def _keep_verified(old: Path, new: Path) -> None:
    """What was found of this very record stays, a refusal above all."""
    if (old / VERIFIED).is_file():
        try:
            read_verified(old)
        except UNREADABLE as error:
            path = old / VERIFIED
            raise UnpublishableError(f"{path} cannot be read ({error}); remove it, then publish again") from error
        shutil.copyfile(old / VERIFIED, new / VERIFIED)


def _refuse_unreadable(folder: Path) -> None:
    try:
        read_study(folder)
    except (*UNREADABLE, AttributeError) as error:
        raise UnpublishableError(
            f"{folder}: cannot be read ({error}), and the pages tell of it too; mend or remove it (`harness verify` "
            "names all that is wrong), then publish again"
        ) from error


@contextmanager
def _made_beside(place: Path) -> Iterator[Path]:
    """An empty folder of the same name that takes a place once the block ends without an error."""
    workshop = place.with_name(f".{place.name}.new")
    shutil.rmtree(workshop, ignore_errors=True)
    folder = workshop / place.name
    folder.mkdir(parents=True)
    try:
        yield folder
        if place.exists():
            place.replace(workshop / "old")
        folder.replace(place)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _epochs(store: Store) -> list[EpochRecord]:
    return [epoch for trial in store.trials() for epoch in store.epochs(trial)]


def _copy_students(store: Store, attempts: Sequence[TrialRecord], folder: Path) -> None:
    """The weights of confirmed students, as far as they are small: the first seeds first."""
    confirmed = {trial.trial_id: trial for trial in attempts if trial.test_accuracy is not None}
    sizes = {id: path.stat().st_size for id in confirmed if (path := store.students / f"{id}.safetensors").exists()}
    left = MOST
    (folder / "students").mkdir()
    for id in sorted(sizes, key=lambda id: (confirmed[id].seed, confirmed[id].config_id)):
        if sizes[id] <= min(LARGEST, left):
            shutil.copyfile(store.students / f"{id}.safetensors", folder / "students" / f"{id}.safetensors")
            left -= sizes[id]


def _note_level_0(folder: Path, day: str) -> None:
    study = read_study(folder)
    said = "whole and consistent when it was published"
    note_verified(
        folder,
        [
            Verification(row["config_id"], 0, day, True, None, row["seeds"], said, "", study.seal.id)
            for _, row in record_of([study]).rows.iterrows()
        ],
    )


def rewrite(reports: Path) -> list[Path]:
    """Makes every report and page anew from the published records, as another version of the harness writes them.

    What was claimed and verified stays. Returns the studies' folders; raises `UnpublishableError` where a record is
    not as it was published.
    """
    folders = published_folders(reports)
    for folder in folders:
        made_anew = {str(folder / REPORT), str(folder / f"{folder.name}.yaml")}
        wrong = [fault for fault in faults_beside_the_report(folder) if fault.place not in made_anew]
        if wrong:
            raise UnpublishableError(f"{wrong[0]}; `harness verify` names all that is wrong")
        known = read_seal(folder)
        write_text_whole(folder / REPORT, report_html(read_run(folder)))
        write_text_whole(folder / f"{folder.name}.yaml", repeatable(Store(folder).frozen_study() or {}))
        seal(folder, known.study, known.published, known.records, {**known.surroundings, WRITTEN_BY: libraries()})
    write_pages(reports)
    return folders
