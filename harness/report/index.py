"""The page of all studies: every row to sort and filter, and any two of a lane with their paired test.

The tests are made here, for every pair of rows that may be compared, and the page only looks them up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from harness.analysis.statistics import paired_difference
from harness.analysis.wording import count, duration, percent, plus_minus, points, probability, span
from harness.report.pages import embedded, page
from harness.report.readme import lane_title, verified_in_words
from harness.report.record import Board, Record
from harness.report.row_facts import facts
from harness.report.table import Cell, Kind, Row, Table, amount, integer, text

COLUMNS: Sequence[tuple[str, Kind]] = [
    *(("rank", "number"), ("student", "name"), ("arm", "name"), ("study", "name")),
    *(("test, %", "number"), ("seeds", "number"), ("params", "number"), ("MACs", "number")),
    *(("tuned, trials", "number"), ("tuned", "number"), ("looks", "number"), ("verified", "text"), ("row", "code")),
]


def index_html(record: Record) -> str:
    """The whole page as text."""
    boards = record.boards()
    tests = {key: said for board in boards for key, said in paired_tests(board).items()}
    return page(
        "index.html.j2",
        boards=[(lane_title(board.lane), _table(board, record)) for board in boards],
        studies=[(study.name, str(study.run.study.get("question", ""))) for study in record.studies],
        rows=embedded(_json({f"{row['study']}/{row['row']}": row for row in facts(record)})),
        tests=embedded(_json(tests)),
    )


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def paired_tests(board: Board) -> dict[str, list[str]]:
    """`STUDY/ROW STUDY/ROW` → difference, interval, p and seeds in words, for every pair, the better mean first."""
    found = {}
    for (_, ours), (_, theirs) in combinations(board.rows.iterrows(), 2):
        of = paired_difference(ours["accuracies"], theirs["accuracies"])
        if of is not None:
            found[f"{key(ours)} {key(theirs)}"] = [points(of.mean), span(of.low, of.high), probability(of.p), str(of.n)]
    return found


def key(row: pd.Series) -> str:
    """What the page knows a row by."""
    return f"{row['study']}/{row['config_id']}"


def _table(board: Board, record: Record) -> Table:
    shared = board.rows["rank"].value_counts()
    rows = []
    for _, row in board.rows.iterrows():
        rank = f"{row['rank']}{'=' if int(shared[row['rank']]) > 1 else ''}"
        accuracy = f"{percent(row['accuracy'])} {plus_minus(row['low'], row['high'])}"
        half = (row["high"] - row["low"]) / 2
        cells = [
            amount(rank, row["rank"]),
            text(row["student"]),
            text(row["arm"]),
            text(row["study"]),
            amount(accuracy, row["accuracy"], 100, half),
            integer(row["n"]),
            amount(count(row["params"]), row["params"]),
            amount(count(row["macs"]), row["macs"]),
            integer(row["tuning_trials"]),
            amount(duration(row["tuning_seconds"]), row["tuning_seconds"]),
            integer(row["looks"]),
            text(verified_in_words(record.verified(row), row["n"] + row["lost"])),
            Cell(row["config_id"]),
        ]
        rows.append(Row(cells, key(row)))
    frame = board.rows.drop(columns=["accuracies", "weights", "versions", "lanes", "seeds"])
    return Table(f"lane-{board.lane.id}", "", COLUMNS, rows, frame)
