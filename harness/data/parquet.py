"""Parquet files with encoded images and labels, as the public hubs ship them."""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import Field

from harness.data.dataset import DataError
from harness.data.encoded import Encoded
from harness.data.listed import ListedDataset, Listing, Part
from harness.files import at_home, file_digest, printable, replacing
from harness.source import MissingError, did_you_mean, shown

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")
UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a file that is no whole Parquet file; the last for a damaged name of a column."""
PATTERNS = {"train": ("train*.parquet",), "test": ("test*.parquet", "val*.parquet")}


class Parquet(ListedDataset):
    """Parquet files with a column of encoded images (bytes, or a struct of bytes and path) and one of labels."""

    _remedy_for_shared = "let `train_files` and `test_files` name files of their own"

    name: Literal["parquet"] = "parquet"
    train_files: str | None = Field(default=None, min_length=1)
    """A pattern below `path`, or an absolute one; by default train*.parquet there, in `data/`, or a folder below."""
    test_files: str | None = Field(default=None, min_length=1)
    """The same for the test images; by default test*.parquet, or else val*.parquet."""
    image: str | None = Field(default=None, min_length=1)
    """The column of images; img or image where it is not said."""
    label: str | None = Field(default=None, min_length=1)
    """The column of labels; label, fine_label or labels where it is not said."""

    def listing(self, part: Part) -> Listing:
        stamps = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in self._files(part))
        return _listed(stamps, self.image, self.label)

    def named(self) -> list[tuple[str, Path]]:
        parts: tuple[Part, ...] = ("train", "test")
        return [(f"{part} {index}", path) for part in parts for index, path in enumerate(self._files(part))]

    def _copy_of(self, path: Path, files: Sequence[Path]) -> Path | None:
        size = path.stat().st_size
        alike = (other for other in files if other.stat().st_size == size)
        return next((other for other in alike if file_digest(other) == file_digest(path)), None)

    def _files(self, part: Part) -> list[Path]:
        root = at_home(self.path)
        if not root.is_dir():
            raise MissingError(f"{self.path} is no folder of Parquet files here; correct `path`")
        setting, asked = f"{part}_files", self.train_files if part == "train" else self.test_files
        for pattern in (asked,) if asked else PATTERNS[part]:
            for below in ("", "data/", "*/"):
                if files := _matching(root, below, pattern, setting):
                    if below == "*/" and len({path.parent for path in files}) > 1:
                        folders = sorted({printable(path.parent.name) for path in files})
                        raise DataError(
                            f"{self.path} holds several data sets ({', '.join(folders)}); name one's folder as `path`, "
                            f"or its files with `{setting}`"
                        )
                    return files
        there = ", ".join(sorted(printable(path.name) for path in root.iterdir())[:8]) or "nothing"
        raise MissingError(
            f"{self.path} has no {asked or PATTERNS[part][0]} (there: {there}); name it with `{setting}`"
        )


def _matching(root: Path, below: str, pattern: str, setting: str) -> list[Path]:
    """The files of a pattern, in order; raises `DataError` for a wrong pattern and for a link that leads nowhere."""
    place = at_home(pattern)
    try:
        if place.is_absolute():
            found = Path(place.anchor).glob(str(place.relative_to(place.anchor)))
        else:
            found = root.glob(below + pattern)
        paths = sorted(path for path in found if not path.is_dir())
    except (ValueError, IndexError, NotImplementedError) as error:
        raise DataError(
            f"{setting} {shown(pattern)} is no pattern of files; write one such as train*.parquet"
        ) from error
    for path in paths:
        if not path.is_file():
            raise DataError(f"{printable(path)} is a broken link or no regular file; mend it or remove it")
    return paths


@dataclass(frozen=True, eq=False)
class Table(Listing):
    """The rows of some files."""

    image: str
    starts: tuple[int, ...]
    """The number of each file's first row among all rows."""

    @property
    def place(self) -> str:
        return printable(self.files[0]) + (f" and {len(self.files) - 1} more" if len(self.files) > 1 else "")

    def where(self, index: int) -> str:
        return _place_of(self.files, self.starts, index)

    def first(self) -> bytes:
        for column in _columns(self.files[0], self.image, rows=1):
            return _contents(column, self.files, self.starts, 0)[0]
        raise DataError(f"{printable(self.files[0])} holds no image; remove it")

    def encoded(self, digest: str) -> Rows:
        return Rows(self.labels, digest, self.files, self.starts, self._rows, list(self._all()))

    def packed(self, digest: str, place: Path) -> Packed:
        place.parent.mkdir(parents=True, exist_ok=True)
        bounds_path = place.with_name(place.name + ".npy")
        with FileLock(place.with_name(place.name + ".lock")):
            if not (bounds_path.is_file() and place.is_file() and np.load(bounds_path)[-1] == place.stat().st_size):
                bounds = [0]
                with replacing(place) as temporary, temporary.open("wb") as file:
                    bounds += accumulate(file.write(content) for content in self._all())
                with replacing(bounds_path) as temporary, temporary.open("wb") as file:
                    np.save(file, np.array(bounds))
            return Packed(self.labels, digest, self.files, self.starts, self._rows, place, np.load(bounds_path))

    @property
    def _rows(self) -> NDArray[np.int64]:
        return np.arange(len(self.labels))

    def _all(self) -> Iterator[bytes]:
        """Every image's bytes, in order."""
        done = 0
        for path in self.files:
            for column in _columns(path, self.image, rows=1024):
                yield from _contents(column, self.files, self.starts, done)
                done += len(column)


@dataclass(frozen=True, eq=False)
class _OfRows(Encoded, ABC):
    """Images from rows of tables."""

    files: Sequence[Path]
    starts: Sequence[int]
    rows: NDArray[np.int64]
    """The number of each image's row among all rows."""

    def where(self, index: int) -> str:
        return _place_of(self.files, self.starts, int(self.rows[index]))


@dataclass(frozen=True, eq=False)
class Rows(_OfRows):
    """Held in memory as they are encoded."""

    contents: Sequence[bytes]

    def content(self, index: int) -> bytes:
        return self.contents[index]

    def taken(self, indices: NDArray[np.int64]) -> Self:
        contents = [self.contents[index] for index in indices]
        return replace(self, labels=self.labels[indices], contents=contents, rows=self.rows[indices])


@dataclass(frozen=True, eq=False)
class Packed(_OfRows):
    """Written one after another into one file: a Parquet file gives a row only with hundreds of its neighbours."""

    path: Path
    bounds: NDArray[np.int64]
    """Where each row's image begins, and at last where the file ends."""

    def content(self, index: int) -> bytes:
        row = int(self.rows[index])
        begin, end = int(self.bounds[row]), int(self.bounds[row + 1])
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)

    def taken(self, indices: NDArray[np.int64]) -> Self:
        return replace(self, labels=self.labels[indices], rows=self.rows[indices])


def _place_of(files: Sequence[Path], starts: Sequence[int], row: int) -> str:
    """`train-00001.parquet row 17`, counted from 0 within the file."""
    file, start = [(file, start) for file, start in zip(files, starts, strict=True) if start <= row][-1]
    return f"{printable(file)} row {row - start}"


@lru_cache(maxsize=16)
def _listed(stamps: tuple[tuple[Path, int, int], ...], image: str | None, label: str | None) -> Table:
    """The listing of files; a file that changes has another stamp."""
    files = tuple(path for path, _, _ in stamps)
    pieces, starts = [], [0]
    chosen: dict[str, str] = {}
    classes: tuple[str, ...] = ()
    for path in files:
        with _opened(path) as file:
            schema = file.schema_arrow
            for setting, asked, usual in (("image", image, IMAGE_COLUMNS), ("label", label, LABEL_COLUMNS)):
                column = _column(path, schema, setting, asked, usual)
                if column != chosen.setdefault(setting, column):
                    raise DataError(
                        f"{printable(path)} has its {setting}s in the column {column}, and {printable(files[0])} in "
                        f"{chosen[setting]}; give both columns one name, or name it with `{setting}`"
                    )
            named = _class_names(schema, chosen["label"])
            if named and classes and named != classes:
                raise DataError(
                    f"{printable(path)} names its classes otherwise than the files before it; labels of one data set "
                    f"mean the same in all of its files"
                )
            classes = classes or named
            pieces.append(_labels(path, file, chosen["label"]))
        starts.append(starts[-1] + len(pieces[-1]))
    return Table(files, np.concatenate(pieces), classes, chosen["image"], tuple(starts[:-1]))


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except UNREADABLE as error:
        raise DataError(f"{printable(path)} is no whole Parquet file ({_reason(error)}); get it again") from error


def _columns(path: Path, name: str, rows: int) -> Iterator[pa.Array]:
    """A column of a file, some rows at a time; raises `DataError` where it cannot be read."""
    with _opened(path) as file:
        batches = file.iter_batches(batch_size=rows, columns=[name])
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except UNREADABLE as error:
                raise _damaged(path, error) from error
            yield batch.column(0)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{printable(path)} is damaged ({_reason(error)}); get it again")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _column(path: Path, schema: pa.Schema, setting: str, asked: str | None, usual: tuple[str, ...]) -> str:
    names = [asked] if asked else usual
    found = next((name for name in names if name in schema.names), None)
    if found is None:
        hint = did_you_mean(asked or usual[0], schema.names)
        raise DataError(f"{printable(path)} has no column {' or '.join(names)}; name it with `{setting}` ({hint})")
    return found


def _labels(path: Path, file: Any, column: str) -> NDArray[np.int64]:
    try:
        labels = file.read(columns=[column]).column(0)
    except UNREADABLE as error:
        raise _damaged(path, error) from error
    where = printable(path)
    if not pa.types.is_integer(labels.type):
        raise DataError(f"{where} has labels of type {labels.type} in {column}; they must be whole numbers from 0 on")
    if labels.null_count:
        row = labels.is_null().to_pylist().index(True)
        raise DataError(f"{where} row {row} has no label; give it one or remove it")
    try:
        return np.asarray(labels.cast(pa.int64()).to_numpy())
    except pa.ArrowInvalid as error:  # of 64 bits without a sign
        largest = pc.max(labels)
        row = pc.index(labels, largest).as_py()
        raise DataError(f"{where} row {row} has the label {largest}; number the classes from 0 on") from error


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """The names that the hubs' libraries note in the schema, or none."""
    metadata = schema.metadata or {}
    try:
        noted = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
        return tuple(map(str, noted))
    except (KeyError, TypeError, ValueError):
        names = metadata.get(b"classes", b"").decode(errors="replace")
        return tuple(names.split(",")) if names else ()


def _contents(column: pa.Array, files: Sequence[Path], starts: Sequence[int], first: int) -> list[bytes]:
    """The bytes of some neighbouring images, `first` being the number of their first row."""
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(
            f"{printable(files[0])} has images of type {column.type}; they must be bytes, or a struct with bytes; "
            f"name their column with `image`"
        )
    contents: list[bytes] = column.to_pylist()
    if column.null_count:
        raise DataError(f"{_place_of(files, starts, first + contents.index(None))} has no image; remove it")  # type: ignore[arg-type]
    return contents
