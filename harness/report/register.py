"""The register of configs: one table of all that was tried, which hover texts, the selection and a search read.

It stands in the page once, as JSON, so that thousands of marks in many figures need carry no more than an id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from harness.analysis.confirmed import reproduce
from harness.analysis.wording import count, duration, percent, plus_minus
from harness.report.findings import Findings
from harness.report.panel import group_key
from harness.report.table import Cell, Kind, amount, integer, text

Trial = Mapping[str, Any]
"""A row of trials, or of what was found of a config, by column."""
_MOST_EPOCHS = 24
"""Points of a trial's curve: more cannot be told apart in a panel 330 pixels wide."""
_READ = [
    *("dataset", "student", "arm", "teacher", "config_id", "trial_id", "point", "purpose", "seed", "status"),
    *("epochs_done", "epochs", "validation_accuracy", "test_accuracy", "train_seconds", "params", "macs"),
]
"""What it reads of a trial."""
COLUMNS: list[tuple[str, Kind]] = [
    *(("arm", "name"), ("student", "name"), ("teacher", "name"), ("state", "name")),
    *(("val., %", "number"), ("n", "number"), ("test, %", "number"), ("seeds", "number")),
    *(("params", "number"), ("MACs", "number"), ("train", "number"), ("settings", "text")),
]


def register(found: Findings) -> dict[str, object]:
    """What the page needs to know of every config: its cells, its trials and their curves."""
    kept = pd.concat([found.shown["config_id"], found.confirmed["config_id"]])
    is_kept = found.together["config_id"].isin(kept) | (len(found.shown) == len(found.searched))
    students = found.together.loc[(found.together["purpose"] != "teacher") & is_kept, _READ]
    members: dict[str, list[Trial]] = {}
    for trial, own in zip(_records(students), found.trials.loc[students.index, "student"], strict=True):
        members.setdefault(trial["config_id"], []).append({**trial, "own": own})
    confirmed = {row["config_id"]: row for row in _records(found.confirmed)}
    searched = {row["config_id"]: row for row in _records(found.shown.drop(columns="point"))}
    curves = _curves(students, found.run.epochs)
    configs = [
        {
            "id": config,
            "group": group_key(trials[0]["dataset"], trials[0]["student"]),
            "cells": [_packed(cell) for cell in _cells(trials, point, searched.get(config), confirmed.get(config))],
            "point": point,
            "trials": [_trial(trial) for trial in trials],
            "curves": [curves[trial["trial_id"]] for trial in trials if trial["trial_id"] in curves],
            "command": reproduce(trials[0]["trial_id"]),
        }
        for config, trials in members.items()
        for point in [_point(trials[0]["point"])]
    ]
    return {"columns": COLUMNS, "configs": configs}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _packed(cell: Cell) -> list[object]:
    return [cell.text, cell.value, cell.half] if cell.half is not None else [cell.text, cell.value]


def register_json(found: Findings) -> str:
    """The register as compact JSON."""
    return json.dumps(register(found), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _cells(
    trials: Sequence[Trial], point: Sequence[tuple[str, str]], searched: Trial | None, confirmed: Trial | None
) -> list[Cell]:
    first = trials[0]
    has_value = searched is not None and searched["n"] > 0
    whole = [one["train_seconds"] for one in trials if one["status"] == "completed"]
    tested = [Cell(""), Cell("")]
    if confirmed is not None:
        said = f"{percent(confirmed['accuracy'])} {plus_minus(confirmed['low'], confirmed['high'])}"
        half = (confirmed["high"] - confirmed["low"]) / 2
        tested = [amount(said, confirmed["accuracy"], 100, half), integer(confirmed["n"])]
    return [
        text(first["arm"]),
        text(first["own"]),
        text(first["teacher"]),
        text(_state(trials, confirmed)),
        amount(percent(searched["accuracy"]), searched["accuracy"], 100) if searched and has_value else Cell(""),
        integer(searched["n"]) if searched and has_value else Cell(""),
        *tested,
        amount(count(first["params"]), first["params"]),
        amount(count(first["macs"]), first["macs"]),
        amount(duration(fmean(whole)), fmean(whole)) if whole else Cell(""),
        text("; ".join(f"{name} = {value}" for name, value in point)),
    ]


def _state(trials: Sequence[Trial], confirmed: Trial | None) -> str:
    """What became of a config: the worst that happened to its trials, unless it was confirmed."""
    if confirmed is not None:
        return "confirmed"
    states = {trial["status"] for trial in trials}
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


def _trial(row: Trial) -> list[str]:
    """A trial's line: what for, seed, how it ended, accuracies, and its id."""
    ended = row["status"] if row["status"] != "completed" else ""
    told = [f"{row['epochs_done']} of {row['epochs']} epochs {ended}".strip()]
    values = [percent(row["validation_accuracy"]), percent(row["test_accuracy"])]
    return [row["purpose"], str(row["seed"]), *told, *values, row["trial_id"]]


def _curves(trials: pd.DataFrame, epochs: pd.DataFrame) -> dict[str, list[list[float]]]:
    """Search trial → its epochs and its accuracies in percent, at not too many of them."""
    searched = set(trials.loc[trials["purpose"] == "search", "trial_id"])
    measured = epochs[epochs["trial_id"].isin(searched) & epochs["accuracy"].notna()]
    found: dict[str, list[list[float]]] = {}
    for trial, epoch, value in zip(measured["trial_id"], measured["epoch"], measured["accuracy"], strict=True):
        curve = found.setdefault(str(trial), [[], []])
        curve[0].append(int(epoch))
        curve[1].append(round(100 * float(value), 2))
    return {trial: [_thinned(axis) for axis in curve] for trial, curve in found.items()}


def _thinned(values: list[float]) -> list[float]:
    """Every so many of the values, the last among them."""
    return values[::-1][:: -(-len(values) // _MOST_EPOCHS)][::-1]
