"""Records as frames for the analysis: what it needs of a trial's spec is taken out, and the spec stays where it is.

    spec         left out, but for the ids of two of its parts without what was searched: `data_part`, `student_part`
    point        the searched fields, `varies_student` says whether the student's are among them
    provenance   in a pool of the few that differ; `data_fingerprint` is a column of its own

A spec is one and a half kilobytes of JSON: of a million trials two thirds of all bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import duckdb
import numpy as np
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


def trial_frame(batches: Iterable[pa.Table], as_given: bool = False) -> pd.DataFrame:
    """The last attempt of each trial in order of their ends; of equal ends the first to come is first.

    `as_given` keeps all rows, in their order.
    """
    origins = _Origins()
    nothing = arrow_schema(TrialRecord).empty_table()
    slim = pa.concat_tables([_slim(nothing, origins), *(_slim(batch, origins) for batch in batches)])
    pool = slim["point"]
    order = np.arange(len(slim)) if as_given else _order(slim)
    slim = slim.drop_columns(["point"]).take(order)
    numbers = slim["origin"].to_numpy()
    frame = pd.DataFrame(slim.drop_columns(["origin"]).to_pandas())
    return frame.assign(point=Shared.all_of(pool).take(order), provenance=origins.column(numbers))


def _order(slim: pa.Table) -> np.ndarray:
    """The places of each trial's last attempt, in order of their ends."""
    ends, places = slim["finished_at"].to_numpy().astype("datetime64[us]"), np.arange(len(slim))
    if pc.count_distinct(slim["trial_id"]).as_py() < len(slim):
        attempts = slim.select(["trial_id", "attempt"]).to_pandas().sort_values(["trial_id", "attempt"])
        places = np.sort(attempts.drop_duplicates("trial_id", keep="last").index.to_numpy())
    return places[np.argsort(ends[places], kind="stable")]


def epoch_frame(table: pa.Table) -> pd.DataFrame:
    """Epochs, with their named losses in a pool."""
    frame = pd.DataFrame(table.drop_columns(["losses"]).to_pandas())
    return frame.assign(losses=Shared.all_of(table["losses"]))


def _slim(batch: pa.Table, origins: _Origins) -> pa.Table:
    """A batch without specs, its provenance as a number."""
    with duckdb.connect(":memory:") as connection:
        connection.register("batch", batch.select(["spec"]))
        parts = connection.sql(_PARTS).to_arrow_table()
    paths = _student_paths(batch["point"])
    fingerprint = pc.struct_field(batch["provenance"], "data_fingerprint")
    rest = batch.drop_columns(["spec", "provenance", "point"]).append_column("point", _with_few_paths(batch["point"]))
    for name, column in {
        "data_part": _ids(parts["data"], "data", None),
        "student_part": _ids(parts["student"], "student", paths),
        "varies_student": pa.array([bool(own) for own in paths or [()] * len(batch)], pa.bool_()),
        "data_fingerprint": fingerprint,
        "origin": pa.array(origins.numbers(batch["provenance"]), pa.int32()),
    }.items():
        rest = rest.append_column(name, column)
    return rest


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


class _Origins:
    """The provenances that differ, each with its number."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._values: list[dict[str, Any]] = []

    def numbers(self, column: pa.ChunkedArray) -> np.ndarray:
        """The number of each row's provenance; −1 where it has none."""
        told = pc.binary_join_element_wise(
            *(pc.fill_null(pc.struct_field(column, field.name).cast(pa.string()), "\0") for field in _PROVENANCE), "\n"
        )
        texts = pc.if_else(column.is_valid(), told, None).combine_chunks().dictionary_encode()
        firsts = pc.index_in(texts.dictionary, told.combine_chunks())
        own = []
        for text, first in zip(texts.dictionary.to_pylist(), firsts.to_pylist(), strict=True):
            if text not in self._known:
                self._known[text] = len(self._values)
                self._values.append(column[first].as_py())
            own.append(self._known[text])
        places = np.array([*own, -1], np.int32)
        return np.asarray(places[texts.indices.fill_null(len(own)).to_numpy()])

    def column(self, numbers: np.ndarray) -> Shared:
        """A frame's column of some numbers."""
        return Shared(pa.chunked_array([pa.array(self._values, _PROVENANCE)]), numbers.astype(np.int32))
