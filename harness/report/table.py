"""A table as a page shows it: each cell a text, and the number behind it, by which it sorts and which a CSV holds.

Nothing here is HTML: the template escapes every text, for a study's name is anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from harness.analysis.wording import missing, number

Kind = Literal["text", "name", "number", "code"]


@dataclass(frozen=True)
class Cell:
    """A text; `value` is its number in the text's own unit, `half` half the width of its interval."""

    text: str
    value: float | None = None
    half: float | None = None


@dataclass(frozen=True)
class Row:
    """The cells of one row; `config` is the id of what a click on it selects, empty where there is nothing."""

    cells: Sequence[Cell]
    config: str = ""


@dataclass(frozen=True)
class Table:
    """A table: the name of its file, what each column is called, how it is set, its rows, the frame behind it."""

    name: str
    title: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Row]
    frame: pd.DataFrame
    """Unrounded, in the units of the records: what is exported."""


def by_data_set(table: Table) -> Table:
    """The table with the data set first, where its frame has several; a row of it is a row of the frame."""
    if "dataset" not in table.frame or table.frame["dataset"].nunique() < 2:
        return table
    rows = [
        Row([text(name), *row.cells], row.config) for name, row in zip(table.frame["dataset"], table.rows, strict=True)
    ]
    return replace(table, columns=[("data set", "name"), *table.columns], rows=rows)


def text(value: object) -> Cell:
    """A cell of text; empty where there is none."""
    return Cell(value if isinstance(value, str) else "")


def amount(said: str, value: float | None, scale: float = 1.0, half: float | None = None) -> Cell:
    """A cell of a number as it is said, and the number itself, times what turns it into the text's unit."""
    return Cell(said, _plain(value, scale), _plain(half, scale))


def integer(value: int) -> Cell:
    """A cell of a count."""
    return Cell(f"{value:,}", float(value))


def _plain(value: float | None, scale: float) -> float | None:
    return None if missing(value) else float(f"{scale * number(value):.10g}")
