"""Reading a run: DuckDB views over its Parquet files, answered as pandas frames.

    trials   the last attempt of every trial that ended, in order of its end, with
             replicates      how many seeds a config of its search has that is not given up
             device_seconds  its wall time, times the share of a device that it had
             looks           how often it read the test split: 0, 1 in its confirmation, more where it was reproduced
    epochs   the epochs of those attempts, with their `attempt`
    looks    every look at the test split besides the confirmations' own

A run is read as frames (see `frames.py`): what the analysis needs of a trial's spec and provenance, and of more than
20,000 trials the epochs of a random sample. A question in SQL sees every column and row.

Nothing here writes: a file that cannot be read is named, and setting it aside is left to the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from harness.record import EpochRecord, LookRecord, TrialRecord
from harness.source import MissingError
from harness.spec import content_id
from harness.store.frames import epoch_frame, trial_frame
from harness.store.parquet import FORECAST, arrow_schema, read_records, record_table
from harness.store.streamed import batches, epochs_of_some

_TRIALS = """
    CREATE VIEW trials AS SELECT * EXCLUDE (__filename) FROM trial_files
    QUALIFY row_number() OVER (PARTITION BY trial_id ORDER BY attempt DESC) = 1
    ORDER BY finished_at, trial_id
"""
_LOOKS = "CREATE VIEW looks AS SELECT * EXCLUDE (__filename) FROM look_files ORDER BY looked_at, trial_id"
_EPOCHS = r"""
    CREATE VIEW epochs AS
    WITH numbered AS (
        SELECT * EXCLUDE (__filename),
               CAST(regexp_extract(__filename, '-(\d+)\.parquet$', 1) AS BIGINT) AS attempt
        FROM epoch_files
    )
    SELECT numbered.* FROM numbered SEMI JOIN trials USING (trial_id, attempt) ORDER BY trial_id, epoch
"""


MOST_CURVES = 20_000
"""Trials whose epochs are all read."""
SAMPLE = 5_000
"""Of more trials, about so many are: medians and quartiles over hundreds a search."""


_PREDICTED = {
    **dict.fromkeys(("arm", "teacher", "student", "dataset"), object),
    **{"is_varied": bool, "trial_seconds": float},
}
"""What is read of a forecast."""


class RunFolderError(MissingError):
    """A folder that is no readable run; the message names the file and the remedy."""


@dataclass(frozen=True)
class Run:
    """What a run folder says: the study as asked, and every trial and epoch so far."""

    folder: Path
    study: dict[str, Any]
    trials: pd.DataFrame
    epochs: pd.DataFrame
    looks: pd.DataFrame
    forecast: pd.DataFrame
    """What a pilot predicted, a row a cell; empty where none was flown."""

    @property
    def sampled(self) -> int | None:
        """How many trials' epochs were read, where not all were."""
        return int(self.epochs["trial_id"].nunique()) if len(self.trials) > MOST_CURVES else None


def read_run(folder: Path) -> Run:
    """The whole record of a run; raises `RunFolderError` for a missing, empty or damaged folder."""
    study = _study(folder)
    trials = trial_frame(_trial_batches(folder))
    epochs = _epochs(folder, trials)
    looks = _table(folder / "looks", LookRecord).sort_by("looked_at").drop_columns(["__filename"]).to_pandas()
    return Run(folder, study, _told(trials, study, looks), epochs, looks, _forecast(folder, study))


def _forecast(folder: Path, study: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of `forecast.json`; none where it is of another study or device, or damaged: nothing rests on it."""
    try:
        told = json.loads((folder / FORECAST).read_text(encoding="utf-8"))
        asked = {name: value for name, value in study.items() if name != "device"}
        if (told["study"], told["device"]) != (content_id(asked), study.get("device")):
            return pd.DataFrame(columns=list(_PREDICTED))
        rows = pd.DataFrame(told["cells"], columns=list(_PREDICTED)).astype(_PREDICTED)
    except (OSError, ValueError, KeyError, TypeError):
        return pd.DataFrame(columns=list(_PREDICTED))
    return rows.assign(teacher=rows["teacher"].where(rows["teacher"].notna(), None))


def _trial_batches(folder: Path) -> Iterator[pa.Table]:
    published = folder / "trials.parquet"
    if published.is_file():
        yield from _whole(published, batches(published, TrialRecord))
    else:
        yield _table(folder / "trials", TrialRecord).drop_columns(["__filename"])


def _epochs(folder: Path, trials: pd.DataFrame) -> pd.DataFrame:
    """The epochs of the trials' last attempts by trial and epoch, or, of many trials, those of a random sample."""
    attempts = trials.set_index("trial_id")["attempt"]
    wanted = len(trials) if len(trials) <= MOST_CURVES else SAMPLE
    published = folder / "epochs.parquet"
    if published.is_file():
        (table,) = _whole(published, iter([epochs_of_some(published, len(trials), wanted)]))
    else:
        paths = [folder / "epochs" / f"{trial}-{attempt}.parquet" for trial, attempt in sorted(attempts.items())]
        few = paths[:: max(1, len(paths) // wanted)] if paths else []
        found = [_rows(path, EpochRecord) for path in few if path.exists()]
        table = pa.concat_tables([arrow_schema(EpochRecord).empty_table(), *found])
    frame = epoch_frame(table)
    of = frame["trial_id"].map(attempts)
    kept = frame.assign(attempt=of)[of.notna()].astype({"attempt": int})
    return kept.sort_values(["trial_id", "epoch"], ignore_index=True)


def run_of(folder: Path, study: Mapping[str, Any], trials: Sequence[TrialRecord]) -> Run:
    """A run of trials that are read already, in the order in which they are given, without their epochs."""
    rows = trial_frame([record_table(trials, TrialRecord)], as_given=True)
    epochs, looks = (pd.DataFrame(columns=[item.name for item in fields(kind)]) for kind in (EpochRecord, LookRecord))
    return Run(folder, dict(study), _told(rows, study, looks), epochs, looks, pd.DataFrame(columns=list(_PREDICTED)))


def _told(trials: pd.DataFrame, study: Mapping[str, Any], looks: pd.DataFrame) -> pd.DataFrame:
    """The trials with what the study and the ledger of looks say of them."""
    again = trials["trial_id"].map(looks["trial_id"].value_counts()).fillna(0).astype(int) if len(looks) else 0
    return trials.assign(
        replicates=_replicates(study),
        device_seconds=trials["wall_seconds"].astype(float) * device_share(study),
        looks=trials["test_accuracy"].notna().astype(int) + again,
    )


def device_share(study: Mapping[str, Any]) -> float:
    """How much of a device a trial has: its share of a GPU, or the cores that it takes on a CPU."""
    asked = study.get("resources")
    resources: Mapping[str, Any] = asked if isinstance(asked, Mapping) else {}
    gpus = resources.get("gpus_per_trial")
    return 1.0 if gpus == "auto" else float(gpus or resources.get("cpus_per_trial") or 1)


def _replicates(study: Mapping[str, Any]) -> int:
    search = study.get("search")
    found = search.get("replicates") if isinstance(search, Mapping) else None
    return found if isinstance(found, int) else 1


def ask(folder: Path, sql: str) -> pd.DataFrame:
    """The answer to one SQL question about the views `trials`, `epochs` and `looks` of a run."""
    with connect(folder) as connection:
        return _frame(connection, sql)


def _frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    """The answer as a frame: maps are dicts, and a missing value is NaN or None."""
    relation = connection.sql(sql)
    if relation is None:
        raise ValueError(f"no question, so it has no answer: {sql}")
    return pd.DataFrame(relation.to_arrow_table().to_pandas(maps_as_pydicts="strict"))


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB connection that has the three views; the caller closes it."""
    _study(folder)
    trial_files = _table(folder / "trials", TrialRecord)
    epoch_files = _table(folder / "epochs", EpochRecord)
    look_files = _table(folder / "looks", LookRecord)
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("trial_files", trial_files)
    connection.register("epoch_files", epoch_files)
    connection.register("look_files", look_files)
    connection.execute(_TRIALS)
    connection.execute(_EPOCHS)
    connection.execute(_LOOKS)
    return connection


def _study(folder: Path) -> dict[str, Any]:
    path = folder / "study.json"
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such run; harness search begins one")
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder}: is no run, study.json is missing; harness search writes it") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunFolderError(f"{path}: is damaged ({error}); copy it from a backup") from error
    if not isinstance(study, dict):
        raise RunFolderError(f"{path}: holds no study; copy it from a backup")
    return study


def _table(folder: Path, record: type) -> pa.Table:
    """Every row of a folder's Parquet files, with the name of its file.

    A published study has one file in the folder's place, whose rows get the names that they had in their run.
    The store's own reader opens them: DuckDB's would read `*` and `[` in a folder's name as a pattern,
    and a flipped bit as a number.
    """
    published = folder.with_suffix(".parquet")
    if published.is_file():
        return _published(published, record)
    empty = arrow_schema(record).append(pa.field("__filename", pa.string())).empty_table()
    return pa.concat_tables([empty, *(_named(path, record) for path in sorted(folder.glob("*.parquet")))])


def _published(path: Path, record: type) -> pa.Table:
    """The rows of a published file; its epochs are those of each trial's last attempt."""
    rows = _rows(path, record)
    trials = rows if record is TrialRecord else _rows(path.with_name("trials.parquet"), TrialRecord)
    last: dict[str, int] = {}
    for trial, attempt in zip(trials["trial_id"].to_pylist(), trials["attempt"].to_pylist(), strict=True):
        last[trial] = max(attempt, last.get(trial, 0))
    ids = rows["trial_id"].to_pylist()
    attempts = rows["attempt"].to_pylist() if record is TrialRecord else [last.get(id, 1) for id in ids]
    names = [f"{id}-{attempt}.parquet" for id, attempt in zip(ids, attempts, strict=True)]
    return rows.append_column("__filename", pa.array(names, pa.string()))


def _whole(path: Path, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables that come of a file; raises `RunFolderError` where it turns out to be damaged."""
    try:
        yield from tables
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _named(path: Path, record: type) -> pa.Table:
    table = _rows(path, record)
    return table.append_column("__filename", pa.array([str(path)] * len(table), pa.string()))


def _rows(path: Path, record: type) -> pa.Table:
    try:
        return read_records(path, record)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Exception:
    """What to tell of a file that could not be read: the machine's trouble (no permission, …) is not the file's."""
    if getattr(error, "errno", None) is not None:
        return error
    return RunFolderError(f"{path}: is damaged ({error}); harness search sets it aside and repeats its trial")
