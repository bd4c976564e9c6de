"""Records as frames for the analysis: what it needs of a trial's spec is taken out, and the spec stays where it is.

    spec         left out, but for the ids of two of its parts without what was searched: `data_part`, `student_part`
    point        the searched fields, `varies_student` says whether the student's are among them
    provenance   in a pool of the few that differ; `data_fingerprint` is a column of its own

A spec is one and a half kilobytes of JSON: of a million trials two thirds of all bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from itertools import chain
from typing import Any, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.record import TrialRecord
from harness.spec import content_id
from harness.store.parquet import arrow_schema
from harness.store.shared import Shared

_PARTS = """
    SELECT parts[1]::VARCHAR AS data, parts[2]::VARCHAR AS student
    FROM (SELECT json_extract(spec, ['$.data', '$.student']) AS parts FROM batch)
"""
_STUDENT = "student."
_PROVENANCE = arrow_schema(TrialRecord).field("provenance").type
_LABELS = [
    *("study", "purpose", "arm", "method", "dataset", "teacher", "student", "teacher_id", "status"),
    *("error_class", "error_message", "traceback_digest", "stopped_because", "teacher_digest"),
    *("data_part", "student_part", "data_fingerprint"),
]
"""Texts of which there are few: a frame's rows share them, so that filtering and grouping a million is quick."""

_ADDED = ["data_part", "student_part", "varies_student", "data_fingerprint"]


def trial_frame(batches: Iterable[pa.Table], as_given: bool = False) -> pd.DataFrame:
    """The last attempt of each trial in order of their ends; of equal ends the first to come is first.

    `as_given` keeps all rows, in their order.
    """
    with _Slimming() as slimming:
        nothing = arrow_schema(TrialRecord).empty_table()
        slim = pa.concat_tables(map(slimming.slim, chain([nothing], batches))).unify_dictionaries()
    points = Shared.all_of(slim["point"])
    order = np.arange(len(slim)) if as_given else _order(slim)
    slim = slim.drop_columns(["point"]).take(order)
    frame = pd.DataFrame(slim.drop_columns(["origin", *_LABELS]).to_pandas())
    labels = {name: _shared_texts(slim[name]) for name in _LABELS}
    origins = slimming.origins(slim["origin"].to_numpy())
    frame = frame.assign(**labels, point=points.take(order), provenance=origins)
    return frame[[*(item.name for item in fields(TrialRecord) if item.name in frame), *_ADDED]]


def _order(slim: pa.Table) -> npt.NDArray[np.int64]:
    """The places of each trial's last attempt, in order of their ends."""
    ends, places = slim["finished_at"].to_numpy().astype("datetime64[us]"), np.arange(len(slim))
    if pc.count_distinct(slim["trial_id"]).as_py() < len(slim):
        attempts = slim.select(["trial_id", "attempt"]).to_pandas().sort_values(["trial_id", "attempt"])
        places = np.sort(attempts.drop_duplicates("trial_id", keep="last").index.to_numpy())
    return places[np.argsort(ends[places], kind="stable")]


def _shared_texts(column: pa.ChunkedArray) -> pd.Series:
    """Texts as a column of Python's strings, each of them once, and None where there is none."""
    known = column.combine_chunks()
    texts = np.array([*known.dictionary.to_pylist(), None], dtype=object)
    return pd.Series(texts[known.indices.fill_null(len(texts) - 1).to_numpy()], dtype="object")


def epoch_frame(table: pa.Table) -> pd.DataFrame:
    """Epochs, with their named losses in a pool."""
    frame = pd.DataFrame(table.drop_columns(["losses"]).to_pandas())
    return frame.assign(losses=Shared.all_of(table["losses"]))


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """This process's own: another takes 20 ms, as long as a small run's frame."""
    return duckdb.connect(":memory:")


class _Slimming:
    """Makes batches small: specs become ids, provenances numbers, labels numbers too."""

    def __init__(self) -> None:
        self._duckdb = _database().cursor()
        self._numbers: dict[str | None, int] = {}
        self._provenances: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._duckdb.close()

    def slim(self, batch: pa.Table) -> pa.Table:
        """A batch with the columns of a frame, and `origin`: the number of each trial's provenance, or −1."""
        self._duckdb.register("batch", batch.select(["spec"]))
        parts = self._duckdb.sql(_PARTS).to_arrow_table()
        paths = _student_paths(batch["point"])
        is_varied = [bool(own) for own in paths] if paths else [False] * len(batch)
        table = batch.drop_columns(["spec", "provenance", "point"])
        for name, column in {
            "point": _with_few_paths(batch["point"]),
            "data_part": _ids(parts["data"], "data", None),
            "student_part": _ids(parts["student"], "student", paths),
            "varies_student": pa.array(is_varied, pa.bool_()),
            "data_fingerprint": pc.struct_field(batch["provenance"], "data_fingerprint"),
            "origin": pa.array(self._origins_of(batch["provenance"]), pa.int32()),
        }.items():
            table = table.append_column(name, column)
        for name in _LABELS:
            place = table.schema.get_field_index(name)
            encoded = table[name].cast(pa.string()).dictionary_encode()
            table = table.set_column(place, name, encoded)
        return table

    def _origins_of(self, column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        told = pc.binary_join_element_wise(
            *(pc.fill_null(pc.struct_field(column, field.name).cast(pa.string()), "\0") for field in _PROVENANCE), "\n"
        ).combine_chunks()
        texts = pc.if_else(column.is_valid().combine_chunks(), told, None).dictionary_encode()
        firsts = pc.index_in(texts.dictionary, told)
        own = []
        for text, first in zip(texts.dictionary.to_pylist(), firsts.to_pylist(), strict=True):
            if text not in self._numbers:
                self._numbers[text] = len(self._provenances)
                self._provenances.append(column[first].as_py())
            own.append(self._numbers[text])
        return np.asarray(np.array([*own, -1], np.int32)[texts.indices.fill_null(len(own)).to_numpy()])

    def origins(self, numbers: npt.NDArray[np.int32]) -> Shared:
        """A frame's column of some provenances by their numbers."""
        return Shared(pa.chunked_array([pa.array(self._provenances, _PROVENANCE)]), numbers)


def _with_few_paths(points: pa.ChunkedArray) -> pa.ChunkedArray:
    """Maps whose keys, a handful of paths, are kept once."""
    kind = pa.map_(pa.dictionary(pa.int32(), pa.string()), pa.string())
    chunks = [
        pa.MapArray.from_arrays(chunk.offsets, chunk.keys.dictionary_encode(), chunk.items) for chunk in points.chunks
    ]
    return pa.chunked_array(chunks, kind)


def _student_paths(points: pa.ChunkedArray) -> list[tuple[str, ...]] | None:
    """Per trial the searched fields of the student; None where no trial has any, as in most studies."""
    keys = pa.concat_arrays([chunk.keys for chunk in points.chunks]) if points.num_chunks else pa.array([], pa.string())
    if not any(key.startswith(_STUDENT) for key in keys.unique().to_pylist()):
        return None
    return [tuple(path for path, _ in point if path.startswith(_STUDENT)) for point in points.to_pylist()]


def _ids(parts: pa.ChunkedArray, part: str, paths: list[tuple[str, ...]] | None) -> pa.Array:
    """The id of each part, without what was searched of it."""
    texts = parts.combine_chunks()
    if paths is None:
        known = texts.dictionary_encode(null_encoding="encode")
        ids = pa.array([_id(text, part, ()) for text in known.dictionary.to_pylist()], pa.string())
        return ids.take(known.indices)
    return pa.array([_id(text, part, own) for text, own in zip(texts.to_pylist(), paths, strict=True)], pa.string())


@cache
def _id(text: str | None, part: str, searched: tuple[str, ...]) -> str:
    return content_id(_without(None if text is None else json.loads(text), part, searched))


def _without(content: object, path: str, searched: tuple[str, ...]) -> object:
    """Nested settings without those whose dotted path was searched."""
    if not isinstance(content, Mapping):
        return content
    below = {name: f"{path}.{name}" for name in content}
    return {name: _without(content[name], place, searched) for name, place in below.items() if place not in searched}
