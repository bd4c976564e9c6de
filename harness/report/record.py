"""The published record as a whole: every study's rows with all that they claim, ranked lane by lane.

This is what the record's three pages say in their own ways (see `record_pages`), and what `compare` and `verify` look
rows up in. It is made of the published folders alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.analysis.cells import distinct
from harness.analysis.claims import claims
from harness.analysis.comparability import Lane, lanes
from harness.analysis.confirmed import ranks
from harness.analysis.pareto import objectives_of, pareto_front
from harness.source import MissingError, UserError
from harness.store.parquet import Store
from harness.store.published import Seal, published_folders, read_seal
from harness.store.query import Run, run_of
from harness.store.verified import Verification, last_verified, read_verified

REPORTS = Path("reports")
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class PublishedStudy:
    """One published study, as its files say."""

    run: Run
    """Every attempt of every trial, without epochs."""
    seal: Seal
    verified: Mapping[str, Verification]
    """Row → what verification last found."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.run.folder.name


@dataclass(frozen=True)
class Board:
    """A lane with its rows, best first: `rank`, and `on_front` among all its rows (accuracy against parameters)."""

    lane: Lane
    rows: pd.DataFrame


@dataclass(frozen=True)
class Record:
    """Every published study, and all their rows (columns as of `claims`)."""

    studies: Sequence[PublishedStudy]
    rows: pd.DataFrame

    def boards(self) -> list[Board]:
        """Every lane, ranked; rows of several studies stand together where nothing breaks their comparison."""
        return [_ranked(lane) for lane in lanes(self.rows)] if len(self.rows) else []

    def study(self, name: str) -> PublishedStudy:
        """A published study by name; raises `MissingError`."""
        for study in self.studies:
            if study.name == name:
                return study
        raise MissingError(f"{name} is not published; known: {', '.join(s.name for s in self.studies) or 'none'}")

    def verified(self, row: pd.Series) -> Verification | None:
        """What verification last found of a row."""
        return self.study(str(row["study"])).verified.get(str(row["config_id"]))

    def row(self, asked: str) -> pd.Series:
        """The row whose id, or one of whose trials' ids, begins so; `STUDY/ID` where several studies have it.

        Raises `MissingError` for none or several, `UserError` for too few digits.
        """
        study, _, digits = asked.rpartition("/")
        if len(digits) < SHORTEST_PREFIX:
            raise UserError(f"{asked or 'nothing'} is too short to name a row; give at least {SHORTEST_PREFIX} digits")
        rows = self.rows[self.rows["study"] == study] if study and len(self.rows) else self.rows
        found = [row for _, row in rows.iterrows() if any(id.startswith(digits) for id in self._ids(row))]
        if len(found) == 1:
            return found[0]
        if not found:
            raise MissingError(f"no published row {asked}; reports/README.md lists rows with their ids")
        named = ", ".join(f"{row['study']}/{row['config_id']}" for row in found[:5])
        raise MissingError(f"{asked} begins the ids of {len(found)} rows: {named}")

    def _ids(self, row: pd.Series) -> list[str]:
        return [str(row["config_id"]), *confirmations(self.study(str(row["study"])), row)["trial_id"]]


def confirmations(study: PublishedStudy, row: pd.Series) -> pd.DataFrame:
    """A row's confirmation trials in order of their seeds, each with its last attempt."""
    trials = study.run.trials
    own: pd.DataFrame = trials[(trials["config_id"] == row["config_id"]) & (trials["purpose"] == "confirmation")]
    return own.sort_values(["seed", "attempt"]).drop_duplicates("seed", keep="last")


def _ranked(lane: Lane) -> Board:
    rows = lane.rows.sort_values(["accuracy", "config_id"], ascending=[False, True])
    front = pareto_front(rows, objectives_of({}, []))
    return Board(lane, rows.assign(rank=ranks(rows), on_front=rows.index.isin(front.index)))


def read_record(reports: Path) -> Record:
    """The record below a folder; empty where nothing is published.

    Raises `ValueError`, `OSError` or a `UserError` for files that are not as they were published: `integrity` names
    them one by one.
    """
    return record_of([read_study(folder) for folder in published_folders(reports)])


def record_of(studies: Sequence[PublishedStudy]) -> Record:
    """The record of some studies; labels that two of them give to different things are told apart."""
    trials = [study.run.trials for study in studies if len(study.run.trials)]
    rows = claims(distinct(pd.concat(trials, ignore_index=True))) if trials else pd.DataFrame()
    return Record(studies, rows)


def read_study(folder: Path) -> PublishedStudy:
    """One published study; raises as `read_record`."""
    store = Store(folder)
    run = every_attempt(store)
    if store.unread:
        raise ValueError(f"{store.unread[0]} cannot be read")
    return PublishedStudy(run, read_seal(folder), last_verified(read_verified(folder)))


def every_attempt(store: Store) -> Run:
    """Every attempt of a run's or a published study's trials, each with all looks at the test split that its trial had.

    Raises `MissingError` where no study is.
    """
    study = store.frozen_study()
    if study is None:
        raise MissingError(f"{store.root}: is no run, study.json is missing")
    run = run_of(store.root, study, store.attempts())
    seen = Counter(look.trial_id for look in store.looks())
    seen.update(run.trials.loc[run.trials["test_accuracy"].notna(), "trial_id"])
    return replace(run, trials=run.trials.assign(looks=[seen[id] for id in run.trials["trial_id"]]))
