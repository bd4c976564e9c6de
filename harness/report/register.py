"""The register of configs: one table of all that was tried, which hover texts, the selection and a search read.

It stands in the page once, as JSON, so that thousands of marks in many figures need carry no more than an id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from harness.analysis.cells import full_length
from harness.analysis.confirmed import reproduce
from harness.analysis.wording import count, duration, percent, plus_minus
from harness.report.findings import Findings
from harness.report.panels import group_key
from harness.report.table import Cell, Kind, amount, integer, text

_MOST_EPOCHS = 24
"""Points of a trial's curve: more cannot be told apart in a panel 330 pixels wide."""
COLUMNS: list[tuple[str, Kind]] = [
    *(("arm", "name"), ("student", "name"), ("teacher", "name"), ("state", "name")),
    *(("val., %", "number"), ("n", "number"), ("test, %", "number"), ("seeds", "number")),
    *(("params", "number"), ("MACs", "number"), ("train", "number"), ("settings", "text")),
]


def register(found: Findings) -> dict[str, object]:
    """What the page needs to know of every config: its cells, its trials and their curves."""
    students = found.together[found.together["purpose"] != "teacher"]
    confirmed = {str(row["config_id"]): row for _, row in found.confirmed.iterrows()}
    searched = {str(row["config_id"]): row for _, row in found.searched.iterrows()}
    labels = dict(zip(found.trials["trial_id"], found.trials["student"], strict=True))
    curves = _curves(students, found.run.epochs)
    configs = []
    for config, members in students.groupby("config_id", sort=False):
        first = members.iloc[0]
        cells = _cells(members, labels[first["trial_id"]], searched.get(str(config)), confirmed.get(str(config)))
        configs.append(
            {
                "id": config,
                "group": group_key(first["dataset"], first["student"]),
                "cells": [[cell.text, cell.value, cell.half] for cell in cells],
                "point": _point(first["point"]),
                "trials": [_trial(row) for _, row in members.iterrows()],
                "curves": [curves[trial] for trial in members["trial_id"] if trial in curves],
                "command": reproduce(str(first["trial_id"])),
            }
        )
    return {"columns": COLUMNS, "configs": configs}


def register_json(found: Findings) -> str:
    """The register as compact JSON."""
    return json.dumps(register(found), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _cells(
    members: pd.DataFrame, student: str, searched: pd.Series | None, confirmed: pd.Series | None
) -> Sequence[Cell]:
    first = members.iloc[0]
    has_value = searched is not None and searched["n"] > 0
    train = float(full_length(members)["train_seconds"].mean())
    tested = [Cell(""), Cell("")]
    if confirmed is not None:
        said = f"{percent(confirmed['accuracy'])} {plus_minus(confirmed['low'], confirmed['high'])}"
        half = (confirmed["high"] - confirmed["low"]) / 2
        tested = [amount(said, confirmed["accuracy"], 100, half), integer(confirmed["n"])]
    return [
        text(first["arm"]),
        text(student),
        text(first["teacher"]),
        text(_state(members, confirmed)),
        amount(percent(searched["accuracy"]), searched["accuracy"], 100) if has_value else Cell(""),
        integer(searched["n"]) if has_value else Cell(""),
        *tested,
        amount(count(first["params"]), first["params"]),
        amount(count(first["macs"]), first["macs"]),
        amount(duration(train), train) if train == train else Cell(""),
        text("; ".join(f"{name} = {value}" for name, value in _point(first["point"]))),
    ]


def _state(members: pd.DataFrame, confirmed: pd.Series | None) -> str:
    """What became of a config: the worst that happened to its search, unless it was confirmed."""
    if confirmed is not None:
        return "confirmed"
    states = set(members["status"])
    return next((state for state in ("failed", "diverged", "stopped") if state in states), "searched")


def _point(point: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the search chose, each path without its first part, numbers in three digits."""
    return [(path.partition(".")[2] or path, _said(value)) for path, value in sorted(point.items())]


def _said(value: str) -> str:
    try:
        known = json.loads(value)
    except json.JSONDecodeError:
        return value
    if isinstance(known, float):
        return f"{known:.3g}"
    return known if isinstance(known, str) else json.dumps(known)


def _trial(row: pd.Series) -> list[str]:
    """A trial's line: what for, seed, how it ended, accuracies, and its id."""
    ended = row["status"] if row["status"] != "completed" else ""
    told = [f"{row['epochs_done']} of {row['epochs']} epochs {ended}".strip()]
    values = [percent(row["validation_accuracy"]), percent(row["test_accuracy"])]
    return [row["purpose"], str(row["seed"]), *told, *values, row["trial_id"]]


def _curves(trials: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, list[list[float]]]:
    """Search trial → its epochs and its accuracies in percent, at not too many of them."""
    searched = set(trials.loc[trials["purpose"] == "search", "trial_id"])
    measured = epochs[epochs["trial_id"].isin(searched) & epochs["accuracy"].notna()]
    found = {}
    for trial, rows in measured.groupby("trial_id", sort=False):
        every = -(-len(rows) // _MOST_EPOCHS)
        kept = rows.iloc[::-1].iloc[::every].iloc[::-1]
        found[str(trial)] = [
            [int(epoch) for epoch in kept["epoch"]],
            [round(100 * float(value), 2) for value in kept["accuracy"]],
        ]
    return found
