"""A pandas column of records that stay in Arrow: each row holds a place in a pool, and becomes a dict when it is read.

A million dicts take a gigabyte and ten seconds; a million places take four megabytes, also in every slice of a frame.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take
from pandas.core.dtypes.base import register_extension_dtype

_BLOCK = 10_000
"""Rows that are read at a time."""


@register_extension_dtype
class SharedDtype(ExtensionDtype):
    """The type of such a column."""

    name = "shared"
    type = object
    na_value = None

    @classmethod
    def construct_array_type(cls) -> builtins.type[Shared]:
        """The column's class."""
        return Shared


class Shared(ExtensionArray):
    """Places in a pool of Arrow values (maps or structs); −1 is a missing value, which reads as None."""

    def __init__(self, pool: pa.ChunkedArray, places: npt.NDArray[np.int32]) -> None:
        self.pool, self.places = pool, places

    @classmethod
    def all_of(cls, pool: pa.ChunkedArray) -> Self:
        """A column of all values of a pool, in their order."""
        places = np.arange(len(pool), dtype=np.int32)
        if pool.null_count:
            places[pool.is_null().to_numpy()] = -1
        return cls(pool, places)

    @classmethod
    def of(cls, column: pd.Series) -> Self:
        """The array of a frame's column; one that was made of dicts is put into a pool."""
        array = column.array
        return array if isinstance(array, cls) else cls._from_sequence(list(column))

    def counts(self) -> Iterator[tuple[Mapping[str, Any], int]]:
        """Every value in use, with its number of rows; equal values may lie at several places."""
        places, counts = np.unique(self.places[self.places >= 0], return_counts=True)
        for place, n in zip(places.tolist(), counts.tolist(), strict=True):
            yield self._value(place), n

    def exploded(self) -> tuple[npt.NDArray[np.int64], pa.Array, pa.Array]:
        """Of maps, every entry: the number of its row, its key and its value."""
        maps = self.pool.take(pa.array(self.places, mask=self.places < 0)).combine_chunks()
        rows = np.repeat(np.arange(len(self)), np.diff(maps.offsets.to_numpy()))
        first, last = maps.offsets[0].as_py(), maps.offsets[-1].as_py()
        return rows, maps.keys.slice(first, last - first), maps.items.slice(first, last - first)

    def _value(self, place: int) -> Any:
        return None if place < 0 else self.pool[place].as_py(maps_as_pydicts="strict")

    @property
    def dtype(self) -> SharedDtype:
        """Its type."""
        return SharedDtype()

    @property
    def nbytes(self) -> int:
        """Of the places; the pool is shared."""
        return int(self.places.nbytes)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, (int, np.integer)):
            return self._value(int(self.places[item]))
        return type(self)(self.pool, self.places[pd.api.indexers.check_array_indexer(self, item)])

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _BLOCK):
            places = self.places[start : start + _BLOCK]
            yield from self.pool.take(pa.array(places, mask=places < 0)).to_pylist(maps_as_pydicts="strict")

    def isna(self) -> npt.NDArray[np.bool_]:
        """Which rows have no value."""
        return np.asarray(self.places < 0)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """The rows at some positions; −1 is a missing one where that is allowed."""
        places = take(self.places, np.asarray(indices), allow_fill=allow_fill, fill_value=-1)
        return type(self)(self.pool, np.asarray(places, np.int32))

    def copy(self) -> Self:
        """The same rows, with places of their own."""
        return type(self)(self.pool, self.places.copy())

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> Self:
        if isinstance(scalars, cls):
            return scalars.copy() if copy else scalars
        values = [None if value is None else list(value.items()) for value in scalars]
        return cls.all_of(pa.chunked_array([pa.array(values, pa.map_(pa.string(), pa.string()))]))

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        pools = {id(one.pool): one.pool for one in to_concat}
        starts, start = {}, 0
        for key, pool in pools.items():
            starts[key], start = start, start + len(pool)
        places = [np.where(one.places < 0, -1, one.places + starts[id(one.pool)]) for one in to_concat]
        pool = pa.chunked_array([chunk for pool in pools.values() for chunk in pool.chunks])
        return cls(pool, np.concatenate(places).astype(np.int32))
