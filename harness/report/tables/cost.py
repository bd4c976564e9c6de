"""What a run cost and how its trials ended: the teachers, all trials by purpose, and what was given up early."""

from __future__ import annotations

import pandas as pd

from harness.analysis.confirmed import reproduce
from harness.analysis.cost import STATUSES, cost_summary, predicted_and_spent
from harness.analysis.stopped import BUDGET
from harness.analysis.wording import NOTHING, count, duration, missing, percent
from harness.report.table import Kind, Row, Table, amount, integer, text


def teacher_table(teachers: pd.DataFrame) -> Table:
    """The teachers, with their accuracy on validation."""
    columns: list[tuple[str, Kind]] = [
        *(("teacher", "name"), ("data set", "name"), ("validation, %", "number"), ("images", "number")),
        *(("params", "number"), ("MACs", "number"), ("training", "number"), ("ended", "name")),
        ("reproduce", "code"),
    ]
    rows = [
        Row(
            [
                text(row["teacher"]),
                text(row["dataset"]),
                amount(percent(row["validation"]), row["validation"], 100),
                integer(row["validation_images"]),
                amount(count(row["params"]), row["params"]),
                amount(count(row["macs"]), row["macs"]),
                amount(duration(row["train_seconds"]), row["train_seconds"]),
                text(row["status"]),
                text(reproduce(row["trial_id"])),
            ]
        )
        for _, row in teachers.iterrows()
    ]
    return Table("teachers", "", columns, rows, teachers)


def cost_table(trials: pd.DataFrame) -> Table:
    """Trials by how they ended, training time, and the time lost on what failed or diverged."""
    statuses: list[tuple[str, Kind]] = [(status, "number") for status in STATUSES]
    columns: list[tuple[str, Kind]] = [("purpose", "name"), *statuses, ("training", "number"), ("lost", "number")]
    summary = cost_summary(trials)
    rows = [
        Row(
            [
                text(row["purpose"]),
                *(integer(row[status]) for status in STATUSES),
                *(amount(duration(row[spent]), row[spent]) for spent in ("train_seconds", "lost_seconds")),
            ]
        )
        for _, row in summary.iterrows()
    ]
    return Table("cost", "", columns, rows, summary)


def forecast_table(trials: pd.DataFrame, forecast: pd.DataFrame) -> Table:
    """What a pilot predicted of each cell's trials, beside what they took."""
    columns: list[tuple[str, Kind]] = [
        *(("arm", "name"), ("student", "name"), ("teacher", "name"), ("predicted, a trial", "number")),
        *(("took", "number"), ("took / predicted", "number"), ("trials", "number")),
    ]
    found = predicted_and_spent(trials, forecast)
    rows = [
        Row(
            [
                *(text(row[name]) for name in ("arm", "student", "teacher")),
                *(amount(duration(row[name]), row[name]) for name in ("predicted", "actual")),
                amount(NOTHING if missing(row["ratio"]) else f"{row['ratio']:.2f}", row["ratio"]),
                integer(row["trials"]),
            ]
        )
        for _, row in found.iterrows()
    ]
    return Table("forecast", "Training as a pilot predicted it, and as it was", columns, rows, found)


def stopped_table(given_up: pd.DataFrame) -> Table:
    """Where configs were given up, and what that saved."""
    columns: list[tuple[str, Kind]] = [
        *(("arm", "name"), ("student", "name"), ("teacher", "name"), ("at epoch", "number"), ("configs", "number")),
        *(("epochs trained", "number"), ("not trained", "number"), ("given up", "text")),
    ]
    rows = [
        Row(
            [
                text(row["arm"]),
                text(row["student"]),
                text(row["teacher"]),
                amount(f"{row['epoch']} of {row['epochs']}", row["epoch"]),
                *(integer(row[name]) for name in ("configs", "trained", "saved")),
                text("since the budget was spent" if row["why"] == BUDGET else "at a rung"),
            ]
        )
        for _, row in given_up.iterrows()
    ]
    return Table("stopped", "", columns, rows, given_up)
