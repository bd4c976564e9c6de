"""A published study: its whole record in a few files that are small, tracked by git and hold each other to account.

    reports/S/
      study.yaml, study.json       what was asked: as written, and fully resolved
      S.yaml                       the latter as a study to run again, which needs no other file
      trials.parquet               every attempt of every trial
      epochs.parquet               the epochs of each trial's last attempt
      looks.parquet                looks at the test split after the confirmations' own
      students/TRIAL.safetensors   weights of confirmed students, where they are small
      report.html                  the report
      provenance.json              SHA-256 of each file above, a digest of each record, versions, machines
      verified.json                what `harness verify` found since (see `verified.py`); nothing else changes

`query.read_run` and `Store` read such a folder like a run's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import harness
from harness.files import file_digest, replacing, write_text_whole
from harness.record import EpochRecord, LookRecord, TrialRecord
from harness.spec import content_id
from harness.store.parquet import STAMPED, record_table

TRIALS, EPOCHS, LOOKS, PROVENANCE, VERIFIED, REPORT = (
    "trials.parquet",
    "epochs.parquet",
    "looks.parquet",
    "provenance.json",
    "verified.json",
    "report.html",
)
WRITTEN_BY, RAN_ON = "written_by", "trials_ran_on"
"""What `surroundings` has: library → version, and field of `Provenance` → value → number of trials."""
_LIBRARIES = ("pandas", "plotly", "pyarrow", "duckdb", "scipy")
WRITTEN: Any = {"compression": "zstd", "compression_level": 12, "write_page_checksum": True, "row_group_size": 20_000}
"""One file holds thousands of rows that are much alike, unlike a run's (see `parquet.py`)."""


@dataclass(frozen=True)
class Seal:
    """What `provenance.json` holds every file and record of a published study to."""

    study: str
    published: str
    """The day, as 2026-11-27."""
    files: Mapping[str, str]
    """Path within the folder → SHA-256."""
    records: Mapping[str, str]
    """TRIAL-ATTEMPT → digest of the record and of its epochs."""
    surroundings: Mapping[str, Any]
    """Versions that wrote the record, and where its trials ran: value → number of trials, by field."""

    @property
    def id(self) -> str:
        """Of what was claimed: the study, the records and the students, but not how files hold or show them.

        A look at the test split that is noted later is no other claim.
        """
        shown = {REPORT, TRIALS, EPOCHS, LOOKS}
        return content_id(
            [self.study, self.records, {name: of for name, of in self.files.items() if name not in shown}]
        )


def write_records(
    folder: Path, attempts: Sequence[TrialRecord], epochs: Sequence[EpochRecord], looks: Sequence[LookRecord] = ()
) -> None:
    """Writes the three Parquet files, each whole or absent."""
    tables = {
        TRIALS: record_table(attempts, TrialRecord),
        EPOCHS: record_table(epochs, EpochRecord),
        LOOKS: record_table(looks, LookRecord),
    }
    for name, table in tables.items():
        with replacing(folder / name) as temporary:
            pq.write_table(table.replace_schema_metadata(STAMPED), temporary, **WRITTEN)


def libraries() -> dict[str, str]:
    """The versions, here and now, of what a report's bytes depend on."""
    return {"harness": harness.__version__} | {library: version(library) for library in _LIBRARIES}


def record_digests(attempts: Iterable[TrialRecord], epochs: Iterable[EpochRecord]) -> dict[str, str]:
    """TRIAL-ATTEMPT → digests of its record and of its epochs, 16 digits each, with a space between.

    They name the trial whose number was changed, where a file's SHA-256 says only that something was.
    """
    attempts, by_trial = list(attempts), dict[str, list[object]]()
    for epoch in epochs:
        by_trial.setdefault(epoch.trial_id, []).append(dataclasses.asdict(epoch))
    last: dict[str, int] = {}
    for trial in attempts:
        last[trial.trial_id] = max(trial.attempt, last.get(trial.trial_id, 0))
    return {
        attempt_name(trial): " ".join(
            content_id(part)
            for part in (
                _plain(trial),
                by_trial.get(trial.trial_id, []) if trial.attempt == last[trial.trial_id] else [],
            )
        )
        for trial in attempts
    }


def _plain(trial: TrialRecord) -> dict[str, object]:
    fields = dataclasses.asdict(trial)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}


def attempt_name(trial: TrialRecord) -> str:
    """`TRIAL-ATTEMPT`, as a run's files are called."""
    return f"{trial.trial_id}-{trial.attempt}"


def seal(folder: Path, study: str, published: str, records: Mapping[str, str], surroundings: Mapping[str, Any]) -> Seal:
    """Writes `provenance.json` over all that lies in the folder now."""
    made = Seal(study, published, file_digests(folder), records, surroundings)
    write_text_whole(folder / PROVENANCE, json.dumps(dataclasses.asdict(made), indent=1, ensure_ascii=False) + "\n")
    return made


def file_digests(folder: Path) -> dict[str, str]:
    """Path within the folder → SHA-256, of every file that a seal covers."""
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in inside}
    return {name: file_digest(path) for name, path in names.items() if name not in (PROVENANCE, VERIFIED)}


def read_seal(folder: Path) -> Seal:
    """What `provenance.json` says; raises `ValueError` where it is no such file."""
    said = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    kinds = {"study": str, "published": str, "files": dict, "records": dict, "surroundings": dict}
    if not isinstance(said, dict) or said.keys() != kinds.keys():
        raise ValueError(f"it must have the fields {', '.join(kinds)} and no others")
    wrong = [name for name, kind in kinds.items() if not isinstance(said[name], kind)]
    if wrong:
        raise ValueError(f"{wrong[0]} is of another type than it must be")
    date.fromisoformat(said["published"])  # raises `ValueError`
    texts = [*said["files"].values(), *said["records"].values()]
    counts = [said["surroundings"].get(name) for name in (WRITTEN_BY, RAN_ON)]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(count, dict) for count in counts):
        raise ValueError("a digest in it is no text, or what it was written by and ran on is missing")
    return Seal(**said)


def published_folders(reports: Path) -> list[Path]:
    """The published studies below a folder, in order of their names."""
    found = (path.parent for path in reports.glob(f"*/{PROVENANCE}"))
    return sorted(folder for folder in found if not folder.name.startswith("."))
