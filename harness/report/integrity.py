"""Level 0 of verification: the published record is whole, unchanged and consistent with itself, down to every page.

Three kinds of check, each of which names the file, the trial or the line that is at fault:

    sealed       every file and every record is the one that `provenance.json` names
    consistent   no trial twice, no seed missing, accuracies that are counts of images, weights that are the recorded
                 ones: what is still wrong where somebody changed a number and sealed it anew
    rendered     every page says what the records give

It needs no torch. That the numbers are true is for levels 1 and 2 to show.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa

from harness.analysis.cost import origins
from harness.record import EpochRecord, LookRecord, TrialRecord
from harness.report.consistency import repeatable, study_faults, trial_faults
from harness.report.page import report_html
from harness.report.record import read_record
from harness.report.record_pages import pages
from harness.source import UserError
from harness.store.parquet import Store, read_records
from harness.store.published import (
    EPOCHS,
    LOOKS,
    PROVENANCE,
    RAN_ON,
    REPORT,
    TRIALS,
    VERIFIED,
    WRITTEN_BY,
    Seal,
    file_digests,
    libraries,
    published_folders,
    read_seal,
    record_digests,
)
from harness.store.query import read_run, run_of
from harness.store.verified import read_verified

UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, UserError)
"""What reading a file that somebody changed may raise."""
MOST = 5
"""Faults of one kind in one file that are told one by one."""
ROUNDING = 1e-9
"""By how much, relatively, a number of a figure may differ: another processor adds up in another order."""
_NUMBER = re.compile(r"(-?\d+\.\d+(?:e[+-]?\d+)?)")


@dataclass(frozen=True)
class Fault:
    """Something in the published record that is not as it must be, with its place."""

    place: str
    said: str

    def __str__(self) -> str:
        return f"{self.place}: {self.said}"


def faults(reports: Path) -> list[Fault]:
    """Everything that is wrong with the record below a folder; nothing where nothing is published."""
    found = [fault for folder in _study_folders(reports) for fault in folder_faults(folder)]
    # Pages say what all the records give, so where a record cannot be trusted its own fault is the one to mend.
    return found or list(_page_faults(reports))


def _study_folders(reports: Path) -> list[Path]:
    """Every folder that is, or was, a published study: also one whose seal somebody removed."""
    named = {path.parent for name in (TRIALS, PROVENANCE, "study.json") for path in reports.glob(f"*/{name}")}
    return sorted(folder for folder in named if not folder.name.startswith("."))


def folder_faults(folder: Path) -> list[Fault]:
    """Everything that is wrong with one published study, the pages of all studies aside."""
    found = faults_beside_the_report(folder)
    return found or [*_report_faults(folder, read_seal(folder))]


def faults_beside_the_report(folder: Path) -> list[Fault]:
    """Everything that is wrong with one published study but for what its report says."""
    try:
        seal = read_seal(folder)
    except UNREADABLE as error:
        return [Fault(str(folder / PROVENANCE), f"cannot be read ({error}); publish the study again")]
    found = [*_file_faults(folder, seal)]
    try:
        attempts, epochs = _records(folder, found)
    except UNREADABLE as error:
        return [*found, Fault(str(folder / TRIALS), f"cannot be read: {error}")]
    found += _cut(folder / TRIALS, _sealed_record_faults(attempts, epochs, seal))
    for path, check in (
        (folder / TRIALS, trial_faults(folder, attempts, epochs)),
        (folder / "study.yaml", study_faults(folder, seal.study, attempts)),
    ):
        try:
            found += _cut(path, check)
        except (*UNREADABLE, AttributeError) as error:
            found.append(Fault(str(path), f"cannot be read: {error}"))
    found += _verified_faults(folder, attempts)
    return found or [*_repeatable_faults(folder), *_origin_faults(folder, attempts, seal)]


def _cut(path: Path, said: Iterator[str]) -> list[Fault]:
    lines = list(said)
    rest = [f"and {len(lines) - MOST} more of this kind"] if len(lines) > MOST else []
    return [Fault(str(path), line) for line in [*lines[:MOST], *rest]]


def _file_faults(folder: Path, seal: Seal) -> Iterator[Fault]:
    here = file_digests(folder)
    if seal.study != folder.name:
        yield Fault(str(folder), f"its provenance is that of {seal.study}")
    for name in sorted(here.keys() | seal.files.keys()):
        if name not in here:
            yield Fault(str(folder / name), "is missing")
        elif name not in seal.files:
            yield Fault(str(folder / name), f"is not part of what was published: {PROVENANCE} does not name it")
        elif here[name] != seal.files[name]:
            yield Fault(
                str(folder / name),
                f"was changed since it was published: its SHA-256 is not that of {PROVENANCE}; "
                "`git checkout` brings back what was committed",
            )
    yield from (
        Fault(str(folder / name), "is missing, and no study is published without it")
        for name in (TRIALS, EPOCHS, LOOKS, REPORT, "study.yaml", "study.json")
        if name not in seal.files and name not in here
    )


def _records(folder: Path, found: list[Fault]) -> tuple[list[TrialRecord], list[EpochRecord]]:
    """Every record; what cannot be read is noted."""
    for name, kind in ((TRIALS, TrialRecord), (EPOCHS, EpochRecord), (LOOKS, LookRecord)):
        read_records(folder / name, kind)
    store = Store(folder)
    attempts = store.attempts()
    rows = read_records(folder / EPOCHS, EpochRecord).to_pylist(maps_as_pydicts="strict")
    if store.unread:
        found.append(Fault(str(folder / TRIALS), "holds a record that no trial can have"))
    return attempts, [EpochRecord(**row) for row in rows]


def _sealed_record_faults(attempts: list[TrialRecord], epochs: list[EpochRecord], seal: Seal) -> Iterator[str]:
    """Which records are not those that were sealed."""
    here = record_digests(attempts, epochs)
    named = {f"{trial.trial_id}-{trial.attempt}": _named(trial) for trial in attempts}
    for key in sorted(here.keys() | seal.records.keys()):
        if key not in here:
            yield f"the record of trial {key} was removed"
        elif key not in seal.records:
            yield f"{named[key]} was added after publication"
        elif here[key] != seal.records[key]:
            old, new = seal.records[key].split(" "), here[key].split(" ")
            what = "a number of its record" if old[0] != new[0] else "one of its epochs"
            yield f"{named[key]}: {what} was changed since it was published"


def _named(trial: TrialRecord) -> str:
    return f"trial {trial.trial_id} ({trial.purpose} of {trial.arm} on {trial.student}, seed {trial.seed})"


def _verified_faults(folder: Path, attempts: list[TrialRecord]) -> list[Fault]:
    path = folder / VERIFIED
    try:
        entries = read_verified(folder)
    except UNREADABLE as error:
        return [Fault(str(path), f"cannot be read ({error}); remove it, then verify again")]
    seeds: dict[str, set[int]] = {}
    for trial in attempts:
        if trial.purpose == "confirmation":
            seeds.setdefault(trial.config_id, set()).add(trial.seed)
    strange = sorted({entry.row for entry in entries} - seeds.keys())
    said = [f"speaks of the row {row}, which is not published" for row in strange]
    said += [
        f"speaks of seed {min(other)} of the row {entry.row}, which has none such"
        for entry in entries
        if (other := set(entry.seeds) - seeds.get(entry.row, set(entry.seeds)))
    ]
    return [Fault(str(path), line) for line in said]


def _repeatable_faults(folder: Path) -> Iterator[Fault]:
    path, frozen = folder / f"{folder.name}.yaml", Store(folder).frozen_study()
    if frozen and (not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != repeatable(frozen)):
        yield Fault(str(path), "is missing or not what study.json gives; `harness publish` writes it anew")


def _origin_faults(folder: Path, attempts: list[TrialRecord], seal: Seal) -> Iterator[Fault]:
    """Whether the machines and versions that the seal counts are those of the records."""
    frozen = Store(folder).frozen_study()
    if frozen is not None and (gives := origins(run_of(folder, frozen, attempts).trials)) != seal.surroundings[RAN_ON]:
        yield Fault(str(folder / PROVENANCE), f"{RAN_ON} is not what the records give, {json.dumps(gives)}")


def _report_faults(folder: Path, seal: Seal) -> Iterator[Fault]:
    """Whether the report says what the records give: its texts, and where the same libraries drew it its figures."""
    path = folder / REPORT
    page, again = path.read_text(encoding="utf-8"), report_html(read_run(folder))
    said, gives = visible(page), visible(again)
    if said != gives:
        yield Fault(str(path), "its text " + _first_difference(said, gives))
    elif not _alike(page, again) and seal.surroundings.get(WRITTEN_BY) == libraries():
        where = _first_difference(page.split(","), again.split(","))
        yield Fault(str(path), f"its figures hold other numbers: piece {where}")


def _page_faults(reports: Path) -> Iterator[Fault]:
    made = pages(read_record(reports))
    if not published_folders(reports) and not any((reports / name).exists() for name in made):
        return
    for name, gives in made.items():
        path = reports / name
        if not path.exists():
            yield Fault(str(path), "is missing; `harness publish` writes it")
            continue
        said = path.read_text(encoding="utf-8", errors="replace")
        if not _alike(said, gives):
            difference = _first_difference(said.splitlines(), gives.splitlines())
            yield Fault(str(path), f"line {difference}; `harness publish` writes it anew")


def _alike(page: str, again: str) -> bool:
    """Whether two pages differ in nothing but how numbers were rounded, which another processor does otherwise."""
    if page == again:
        return True
    ours, theirs = _NUMBER.split(page), _NUMBER.split(again)
    return ours[::2] == theirs[::2] and all(
        math.isclose(float(a), float(b), rel_tol=ROUNDING, abs_tol=ROUNDING)
        for a, b in zip(ours[1::2], theirs[1::2], strict=True)
        if a != b
    )


def _first_difference(said: list[str], gives: list[str]) -> str:
    """`12 says “96.9”, and the records give “95.9”`, cut to what differs."""
    for number, (ours, theirs) in enumerate(zip([*said, ""], [*gives, ""], strict=False), start=1):
        if ours != theirs:
            begin = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), 0)
            part = slice(max(0, begin - 30), begin + 40)
            return f"{number} says “{ours[part]}”, and the records give “{theirs[part]}”"
    return f"count is {len(said)}, and the records give {len(gives)}"


def visible(page: str) -> list[str]:
    """The texts that a reader of an HTML page sees, in order."""
    reading = _Texts()
    reading.feed(page)
    return reading.texts


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = self._hidden or tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = self._hidden and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._hidden:
            self.texts.append(" ".join(data.split()))
