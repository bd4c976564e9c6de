"""Every comparison with a baseline: size, interval, corrected p-value and verdict."""

from __future__ import annotations

import pandas as pd

from harness.analysis.wording import points, probability, span
from harness.report.table import Kind, Row, Table, amount, integer, text

_COLUMNS: list[tuple[str, Kind]] = [
    *(("student", "name"), ("arm", "name"), ("against", "name"), ("teacher", "name")),
    *(("points", "number"), ("95 % interval", "number"), ("Holm", "number"), ("seeds", "number")),
    ("verdict", "text"),
]


def difference_table(compared: pd.DataFrame) -> Table:
    """One row a comparison; a mean over students selects nothing, for it is no config."""
    return Table("differences", "", _COLUMNS, [_row(row) for _, row in compared.iterrows()], compared)


def _row(row: pd.Series) -> Row:
    cells = [
        text(row["student"]),
        text(row["arm"]),
        text(row["baseline_arm"]),
        text(row["teacher"]),
        amount(points(row["difference"]), row["difference"], 100),
        text(span(row["low"], row["high"])),
        amount(probability(row["p_holm"]), row["p_holm"]),
        integer(row["n"]),
        text(row["verdict"]),
    ]
    return Row(cells, row["config_id"] if isinstance(row["config_id"], str) else "")
