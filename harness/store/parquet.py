"""The store: one writer, one Parquet file per finished trial, renamed into place.

    runs/STUDY/
      study.yaml, study.json       what was asked: as written, and fully resolved
      trials/TRIAL-ATTEMPT.parquet one TrialRecord; its presence means that the trial ended
      epochs/TRIAL-ATTEMPT.parquet its EpochRecords, written before the trial's own file
      looks/TRIAL-TIME.parquet     a LookRecord: a reproduction that read the test split again
      students/TRIAL.safetensors   weights of confirmed students
      checkpoints/TRIAL.pt         trials that run, or that pause at a rung
      wall_seconds.txt             how long drivers have run it
      live.json                    what the driver does now (see `live.py`)
      forecast.json                what a pilot predicted, cell by cell (see `study/forecast.py`)

A file is whole or absent: it is written beside its place, synced, and renamed. What cannot be read is
left out, and its trial counts as not run; whoever is `writing` the run sets it aside under its name plus
`.damaged`. Nothing is deleted, and what only reads renames nothing. Without checks, a flipped bit is read as another
number (measured: 4 % of flips in a trial's file, 26 % in an epochs file). Parquet's own checksums leave 19 of a trial's
82,200 bits, for its footer has none; so a file carries the SHA-256 of all its other bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from harness.files import replacing, write_text_whole
from harness.record import EpochRecord, LookRecord, Provenance, TrialRecord
from harness.source import MissingError, UserError
from harness.store.remote import Remote

Record = TypeVar("Record", EpochRecord, TrialRecord, LookRecord)

_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(record: type) -> pa.Schema:
    """The Arrow schema of a record class, field by field."""
    hints = typing.get_type_hints(record)
    fields = []
    for item in dataclasses.fields(record):
        hint, optional = _without_none(hints[item.name])
        fields.append(pa.field(item.name, _arrow_type(hint), nullable=optional))
    return pa.schema(fields)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        return members[0], True
    return hint, False


def _arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is Literal:
        return pa.string()
    if get_origin(hint) is dict:
        key, value = get_args(hint)
        return pa.map_(_arrow_type(key), _arrow_type(value))
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(arrow_schema(typing.cast(type, hint))))
    return _SCALARS[hint]


_SCHEMAS = {kind.__name__: arrow_schema(kind) for kind in (EpochRecord, TrialRecord, LookRecord)}
"""Derived once: doing it for every record took most of the time of writing one."""


_WALL = "wall_seconds.txt"
FORECAST = "forecast.json"

LOCK = "writer.lock"
"""What a driver holds in its run's folder."""

_WRITTEN: Any = {
    "compression": "snappy",
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}
"""A file holds a row, or a row an epoch: zstd, dictionaries and statistics made writing and reading one cost three
times as much (measured: 2.7 ms and 2.0 ms a trial's file, not 0.9 and 0.7), and the file larger."""

_DIGEST = b"ksan-harness.sha256"
_MARK = _DIGEST + b"\x18\x40"
"""What stands before the digest in a footer: its key, and Thrift's note of a text of 64 bytes."""
_ZEROS = b"0" * 64

_STAMP = b"ksan-harness.records"
_VERSION = 4
"""Raised whenever a field of a record is added, removed or retyped: older files are then told from damaged ones."""
STAMPED = {_STAMP: str(_VERSION).encode()}
"""What every file of records says of itself."""


class OtherVersionError(UserError):
    """A file of another version of the harness: whole, but not ours to read."""


class RunLockedError(UserError):
    """Another search writes this run."""


class Store:
    """The records of one run of one study, in a folder of their own."""

    def __init__(self, root: Path, remote: Remote | None = None) -> None:
        self.root, self.remote = root, remote
        self.unread: list[Path] = []
        """Files that could not be read and lie where they were, for this store only reads."""
        self._is_writing = False
        self._known: dict[Path, list[TrialRecord]] = {}
        """What a store that only reads has read: a file that is there does not change."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer; raises `RunLockedError` where another process has it.

        With a remote the folder is made what that holds, and that what the folder holds. Raises `TakenError` or
        `StorageError`.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunLockedError(f"another search is writing {self.root}; wait for it or stop it") from error
        self._is_writing = True
        try:
            with self.remote.leased(self.root) if self.remote else nullcontext():
                if self.remote:
                    self.remote.pull(self.root)
                    self.remote.push_missing(self.root)
                yield
        finally:
            self._is_writing = False
            lock.release()

    def write(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Puts a trial that ended on disk, and to the remote; when this returns, no kill can lose it."""
        name = f"{trial.trial_id}-{trial.attempt}.parquet"
        _write_whole(self.root / "epochs" / name, record_table(epochs, EpochRecord))
        _write_whole(self.root / "trials" / name, record_table([trial], TrialRecord))
        student = self.students / f"{trial.trial_id}.safetensors"
        self._push(*([student] if student.exists() else []), self.root / "epochs" / name, self.root / "trials" / name)

    def _push(self, *paths: Path) -> None:
        if self.remote:
            for path in paths:
                self.remote.push(self.root, path)

    def note_look(self, look: LookRecord) -> None:
        """Puts a look at the test split on disk, and to the remote; it needs no lock, for its name is its own."""
        path = self.root / "looks" / f"{look.trial_id}-{look.looked_at:%Y%m%dT%H%M%S%f}.parquet"
        _write_whole(path, record_table([look], LookRecord))
        self._push(path)

    def looks(self) -> list[LookRecord]:
        """Every look at the test split besides the confirmations' own, in order of their time."""
        published = self.root / "looks.parquet"
        paths = [published] if published.exists() else sorted((self.root / "looks").glob("*.parquet"))
        return sorted((look for path in paths for look in self._read(path, LookRecord)), key=lambda one: one.looked_at)

    def attempts(self) -> list[TrialRecord]:
        """Every attempt of every trial that ended, a trial's in their order; of a published study likewise."""
        published = self.root / "trials.parquet"
        paths = [published] if published.exists() else sorted((self.root / "trials").glob("*.parquet"))
        return sorted(
            (trial for path in paths for trial in self._trials_in(path)),
            key=lambda trial: (trial.trial_id, trial.attempt),
        )

    def _trials_in(self, path: Path) -> list[TrialRecord]:
        if self._is_writing:
            return self._read(path, TrialRecord)
        found = self._known.get(path) or self._read(path, TrialRecord)
        self._known[path] = found
        return found

    def trials(self) -> list[TrialRecord]:
        """The last attempt of every trial that ended, in order of its end."""
        latest = {trial.trial_id: trial for trial in self.attempts()}
        return sorted(latest.values(), key=lambda trial: (trial.finished_at, trial.trial_id))

    def epochs(self, trial: TrialRecord) -> list[EpochRecord]:
        """The epochs of one attempt of a trial, in order."""
        published = self.root / "epochs.parquet"
        if published.exists():
            return [epoch for epoch in self._read(published, EpochRecord) if epoch.trial_id == trial.trial_id]
        path = self.root / "epochs" / f"{trial.trial_id}-{trial.attempt}.parquet"
        return self._read(path, EpochRecord) if path.exists() else []

    def _read(self, path: Path, kind: type[Record]) -> list[Record]:
        try:
            return records_in(read_records(path, kind), kind)
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            if getattr(error, "errno", None) is not None:
                raise  # the machine's trouble (no permission, too many open files), not the file's
            if self._is_writing:
                path.replace(path.with_name(path.name + ".damaged"))
            else:
                self.unread.append(path)
            return []

    @property
    def damaged(self) -> list[Path]:
        """Files that could not be read and were set aside; their trials count as not run."""
        return sorted(self.root.glob("*/*.damaged"))

    def drop_checkpoint(self, trial_id: str) -> None:
        """Removes the checkpoint of a trial that ended."""
        (self.checkpoints / f"{trial_id}.pt").unlink(missing_ok=True)

    @property
    def checkpoints(self) -> Path:
        """The folder in which running trials keep themselves."""
        return self.root / "checkpoints"

    def note_forecast(self, forecast: Mapping[str, Any]) -> None:
        """Keeps what a pilot predicted, for the report to hold against what was spent."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text_whole(self.root / FORECAST, json.dumps(forecast, indent=1))

    def wall_seconds(self) -> float:
        """How long drivers have run this study; 0 for a new run, or where the note of it cannot be read."""
        try:
            return float((self.root / _WALL).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0.0

    def note_wall_seconds(self, seconds: float) -> None:
        """Keeps how long drivers have run this study."""
        write_text_whole(self.root / _WALL, f"{seconds:.3f}\n")

    @property
    def students(self) -> Path:
        """The folder of confirmed students' weights."""
        return self.root / "students"

    def frozen_study(self) -> dict[str, Any] | None:
        """The resolved study that this run began with, or None for a new run.

        Raises `MissingError` where it cannot be read: without it nobody knows what the records answer.
        """
        path = self.root / "study.json"
        try:
            study: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError as error:
            raise MissingError(
                f"{path} is damaged ({error}); copy it from a backup, or move {self.root} away"
            ) from error
        return study

    def freeze_study(self, resolved: dict[str, Any], text: str) -> None:
        """Keeps the study as asked, so that the run can be told from another study's later."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text_whole(self.root / "study.yaml", text)
        write_text_whole(self.root / "study.json", json.dumps(resolved, indent=1, sort_keys=True))
        self._push(self.root / "study.yaml", self.root / "study.json")


def record_table(records: Sequence[Record], kind: type[Record]) -> pa.Table:
    """Records as the rows of an Arrow table of their kind's schema."""
    schema = _SCHEMAS[kind.__name__]
    maps = {field.name for field in schema if pa.types.is_map(field.type)}
    rows = [{name: _plain(value, name in maps) for name, value in vars(record).items()} for record in records]
    return pa.Table.from_pylist(rows, schema=schema)


def _plain(value: Any, is_map: bool) -> Any:
    """A field as Arrow takes it."""
    if is_map:
        return list(value.items())
    return vars(value) if isinstance(value, Provenance) else value


def records_in(table: pa.Table, kind: type[Record]) -> list[Record]:
    """The rows of a table as records."""
    return [_record(row, kind) for row in table.to_pylist(maps_as_pydicts="strict")]


def _record(row: dict[str, Any], kind: type[Record]) -> Record:
    provenance = row.get("provenance")
    if provenance is not None:
        row = {**row, "provenance": Provenance(**provenance)}
    return kind(**row)


def _write_whole(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.replace_schema_metadata(STAMPED | {_DIGEST: _ZEROS})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **_WRITTEN)
    content = sink.getvalue().to_pybytes()
    with replacing(path) as temporary:
        temporary.write_bytes(_sealed(content))


def _sealed(content: bytes) -> bytes:
    """A file's bytes with their SHA-256 in its place, which counts as zeros; the same where they have no such place."""
    before, mark, after = content.rpartition(_MARK)
    if not mark:
        return content
    rest = after[len(_ZEROS) :]
    digest = hashlib.sha256(b"".join((before, mark, _ZEROS, rest))).hexdigest().encode()
    return b"".join((before, mark, digest, rest))


def read_records(path: Path, kind: type) -> pa.Table:
    """The rows of one file; raises an Arrow error, `OSError` or `ValueError` for one that is not as it was written.

    Raises `OtherVersionError` for one that another version of the harness wrote.

    Files from before there were digests are held against their pages' checksums, and against what columns and counts
    must be.
    """
    content = path.read_bytes()
    if content != _sealed(content):
        raise ValueError("it is not as it was written")
    with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
        table, said = file.read(), file.metadata
        counts = {said.num_rows, *(said.row_group(index).num_rows for index in range(said.num_row_groups))}
    refuse_others(path, table.schema, kind)
    if len(table) and counts != {len(table)}:
        raise ValueError("it holds another number of rows than it says")
    refuse_impossible(table)
    return table


def refuse_others(path: Path, schema: pa.Schema, kind: type) -> None:
    """Raises `OtherVersionError` or `ValueError` for a file that holds no records of a kind and of this version."""
    version = (schema.metadata or {}).get(_STAMP, b"")
    if version.isdigit() and int(version) != _VERSION:
        raise OtherVersionError(
            f"{path} was written by another version of the harness (records {int(version)}, not {_VERSION}); "
            f"read it with that version, or give this run another place with --runs"
        )
    if not schema.equals(_SCHEMAS[kind.__name__]):
        raise ValueError("it holds no records of this kind")


def refuse_impossible(table: pa.Table) -> None:
    """Raises `ValueError` for an accuracy that is no fraction."""
    for name in ("accuracy", "validation_accuracy", "test_accuracy"):
        if name not in table.column_names:
            continue
        ends = pc.min_max(table[name]).as_py()
        is_fraction = ends["min"] is None or 0 <= ends["min"] <= ends["max"] <= 1
        if not is_fraction or bool(pc.any(pc.is_nan(table[name])).as_py()):
            raise ValueError(f"it holds a {name.replace('_', ' ')} outside 0 to 1")


def now() -> datetime:
    """The present moment in UTC, to the microsecond that the store keeps."""
    return datetime.now(UTC)
