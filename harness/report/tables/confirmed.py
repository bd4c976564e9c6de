"""The confirmed tables: ranks, accuracy ± half its interval, sizes, and how to repeat a row."""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import COMPARABLE, groups
from harness.analysis.wording import count, duration, percent, plus_minus
from harness.report.content import group_title
from harness.report.table import Cell, Kind, Row, Table, amount, integer, text


def confirmed_tables(confirmed: pd.DataFrame, front: pd.DataFrame) -> list[Table]:
    """A table per comparable group; a column that says the same of every row is left out."""
    standing, found = set(front["config_id"]), groups(confirmed, COMPARABLE)
    return [
        Table(
            "confirmed" if len(found) == 1 else f"confirmed-{place}",
            group_title(key),
            _columns(members),
            [_row(row, members, str(row["config_id"]) in standing) for _, row in members.iterrows()],
            members.drop(columns="accuracies").assign(front=members["config_id"].isin(standing)),
        )
        for place, (key, members) in enumerate(found, start=1)
    ]


def _columns(members: pd.DataFrame) -> list[tuple[str, Kind]]:
    with_teacher: list[tuple[str, Kind]] = [("teacher", "name")] if _has_teachers(members) else []
    with_latency: list[tuple[str, Kind]] = [("µs", "number")] if _has_latency(members) else []
    with_looks: list[tuple[str, Kind]] = [("looks at test", "number")] if _has_looks(members) else []
    return [
        *(("rank", "number"), ("student", "name"), ("arm", "name")),
        *with_teacher,
        *(("test, %", "number"), ("sd", "number"), ("seeds", "number"), ("val., %", "number")),
        *(("params", "number"), ("MACs", "number")),
        *with_latency,
        *(("train", "number"), ("front", "name"), ("P(front), %", "number")),
        *with_looks,
        ("reproduce", "code"),
    ]


def _has_teachers(members: pd.DataFrame) -> bool:
    return bool(members["teacher"].nunique() > 1)


def _has_latency(members: pd.DataFrame) -> bool:
    return bool(members["latency"].notna().any())


def _has_looks(members: pd.DataFrame) -> bool:
    """Whether the test split was read again for any of the rows."""
    return bool((members["looks"] > 1).any())


def _row(row: pd.Series, members: pd.DataFrame, is_on_front: bool) -> Row:
    is_shared = int((members["rank"] == row["rank"]).sum()) > 1
    cells = [
        amount(f"{row['rank']}{'=' if is_shared else ''}", row["rank"]),
        text(row["student"]),
        text(row["arm"]),
        *([text(row["teacher"])] if _has_teachers(members) else []),
        accuracy(row),
        amount(percent(row["sd"]), row["sd"], 100),
        amount(f"{row['n']}" + (f" of {row['n'] + row['lost']}" if row["lost"] else ""), row["n"]),
        amount(percent(row["validation"]), row["validation"], 100),
        amount(count(row["params"]), row["params"]),
        amount(count(row["macs"]), row["macs"]),
        *([amount(count(row["latency"]), row["latency"])] if _has_latency(members) else []),
        amount(duration(row["train_seconds"]), row["train_seconds"]),
        text("yes" if is_on_front else ""),
        amount(percent(row["on_front"], 0), row["on_front"], 100) if pd.notna(row["on_front"]) else Cell(""),
        *([integer(row["looks"])] if _has_looks(members) else []),
        text(row["command"]),
    ]
    return Row(cells, str(row["config_id"]))


def accuracy(row: pd.Series) -> Cell:
    """`95.07 ± 0.71`: a mean in percent with half its interval."""
    half = (row["high"] - row["low"]) / 2
    return amount(f"{percent(row['accuracy'])} {plus_minus(row['low'], row['high'])}", row["accuracy"], 100, half)
