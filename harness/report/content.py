"""What the report says in words and tables: rows of text, made from what `analysis` computed.

Nothing here is HTML: the template escapes every text, for a study's name is anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from harness.analysis.cells import COMPARABLE, groups
from harness.analysis.configs import search_configs
from harness.analysis.confirmed import reproduce
from harness.analysis.cost import STATUSES, cost_summary, failures, origins, seeds_by_purpose
from harness.analysis.stopped import BUDGET
from harness.analysis.wording import count, counted, duration, percent, plus_minus, points, probability, span

_MOST_FAILURES = 100
Kind = Literal["text", "name", "number", "code"]


@dataclass(frozen=True)
class Table:
    """A table of texts: what each column is called, how it is set, and its rows."""

    title: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[str]]


def confirmed_tables(confirmed: pd.DataFrame, front: pd.DataFrame) -> list[Table]:
    """A table per comparable group: ranks, accuracy ± half its interval, sizes, and how to repeat a row."""
    tables = []
    standing = set(front["config_id"])
    for key, members in groups(confirmed, COMPARABLE):
        shared = members["rank"].value_counts()
        several = members["teacher"].nunique() > 1
        with_teacher: list[tuple[str, Kind]] = [("teacher", "name")] if several else []
        is_measured = bool(members["latency"].notna().any())
        with_latency: list[tuple[str, Kind]] = [("µs", "number")] if is_measured else []
        columns: list[tuple[str, Kind]] = [
            *(("rank", "number"), ("student", "name"), ("arm", "name")),
            *with_teacher,
            *(("test, %", "number"), ("sd", "number"), ("seeds", "number"), ("val., %", "number")),
            *(("params", "number"), ("MACs", "number")),
            *with_latency,
            *(("train", "number"), ("front", "name")),
            ("reproduce", "code"),
        ]
        rows = []
        for _, row in members.iterrows():
            rank = f"{row['rank']}{'=' if int(shared[row['rank']]) > 1 else ''}"
            teacher = [optional(row["teacher"])] if several else []
            rows.append([rank, row["student"], row["arm"], *teacher, *_measured(row, standing, is_measured)])
        tables.append(Table(group_title(key), columns, rows))
    return tables


def _measured(row: pd.Series, standing: set[str], has_latency: bool) -> list[str]:
    return [
        f"{percent(row['accuracy'])} {plus_minus(row['low'], row['high'])}",
        percent(row["sd"]),
        f"{row['n']}" + (f" of {row['n'] + row['lost']}" if row["lost"] else ""),
        percent(row["validation"]),
        count(row["params"]),
        count(row["macs"]),
        *([count(row["latency"])] if has_latency else []),
        duration(row["train_seconds"]),
        "yes" if row["config_id"] in standing else "",
        row["command"],
    ]


def group_title(key: Mapping[str, object]) -> str:
    """What the rows of a comparable group share: `digits, 20 epochs, data ffffffffffff`."""
    data = str(key["data_fingerprint"])[:12] or "of unknown content"
    return f"{key['dataset']}, {counted(int(str(key['epochs'])), 'epoch')}, data {data}"


def difference_table(compared: pd.DataFrame) -> Table:
    """Every comparison with a baseline: size, interval, corrected p-value and verdict."""
    columns: list[tuple[str, Kind]] = [
        *(("student", "name"), ("arm", "name"), ("against", "name"), ("teacher", "name")),
        *(("points", "number"), ("95 % interval", "number"), ("Holm", "number"), ("seeds", "number")),
        ("verdict", "name"),
    ]
    rows = [
        [
            row["student"],
            row["arm"],
            row["baseline_arm"],
            optional(row["teacher"]),
            points(row["difference"]),
            span(row["low"], row["high"]),
            probability(row["p_holm"]),
            str(row["n"]),
            row["verdict"],
        ]
        for _, row in compared.iterrows()
    ]
    return Table("", columns, rows)


def teacher_table(teachers: pd.DataFrame) -> Table:
    """The teachers, with their accuracy on validation."""
    columns: list[tuple[str, Kind]] = [
        *(("teacher", "name"), ("data set", "name"), ("validation, %", "number"), ("images", "number")),
        *(("parameters", "number"), ("MACs", "number"), ("training", "number"), ("ended", "name")),
        ("reproduce", "code"),
    ]
    rows = [
        [
            row["teacher"],
            row["dataset"],
            percent(row["validation"]),
            str(row["validation_images"]),
            count(row["params"]),
            count(row["macs"]),
            duration(row["train_seconds"]),
            row["status"],
            reproduce(row["trial_id"]),
        ]
        for _, row in teachers.iterrows()
    ]
    return Table("", columns, rows)


def cost_table(trials: pd.DataFrame) -> Table:
    """Trials by how they ended, training time, and the time lost on what failed or diverged."""
    statuses: list[tuple[str, Kind]] = [(status, "number") for status in STATUSES]
    columns: list[tuple[str, Kind]] = [("purpose", "text"), *statuses, ("training", "number"), ("lost", "number")]
    rows = [
        [
            row["purpose"],
            *(str(row[status]) for status in STATUSES),
            *(duration(row[spent]) for spent in ("train_seconds", "lost_seconds")),
        ]
        for _, row in cost_summary(trials).iterrows()
    ]
    return Table("", columns, rows)


def stopped_table(given_up: pd.DataFrame) -> Table:
    """Where configs were given up, and what that saved."""
    columns: list[tuple[str, Kind]] = [
        *(("arm", "name"), ("student", "name"), ("teacher", "name"), ("at epoch", "number"), ("configs", "number")),
        *(("epochs trained", "number"), ("not trained", "number"), ("given up", "text")),
    ]
    rows = [
        [
            row["arm"],
            row["student"],
            optional(row["teacher"]),
            f"{row['epoch']} of {row['epochs']}",
            *(f"{row[name]:,}" for name in ("configs", "trained", "saved")),
            "since the budget was spent" if row["why"] == BUDGET else "at a rung",
        ]
        for _, row in given_up.iterrows()
    ]
    return Table("", columns, rows)


def saving(trials: pd.DataFrame, given_up: pd.DataFrame) -> str:
    """What early stopping saved, in a sentence; nothing where it gave up nothing."""
    if given_up.empty:
        return ""
    searched = trials[trials["purpose"] == "search"]
    trained, saved = int(searched["epochs_done"].sum()), int(given_up["saved"].sum())
    of = search_configs(trials)["config_id"].nunique()
    return (
        f"The search gave up {counted(int(given_up['configs'].sum()), 'config')} of {of} early, which left {saved:,} "
        f"epochs untrained; it trained {trained:,}."
    )


def failure_table(trials: pd.DataFrame) -> Table:
    """What failed or diverged: where, after how many epochs, at what cost, and why."""
    columns: list[tuple[str, Kind]] = [
        *(("trial", "code"), ("what", "name"), ("where", "text"), ("epochs", "number"), ("lost", "number")),
        ("reason", "text"),
    ]
    lost = failures(trials)
    title = f"The costliest {_MOST_FAILURES} of {len(lost)}" if len(lost) > _MOST_FAILURES else ""
    rows = [
        [
            row["trial_id"],
            f"{row['status']} {row['purpose']}",
            f"{row['arm']}, {row['student']} on {row['dataset']}, seed {row['seed']}",
            f"{row['epochs_done']} of {row['epochs']}",
            duration(row["train_seconds"]),
            _reason(row),
        ]
        for _, row in lost.head(_MOST_FAILURES).iterrows()
    ]
    return Table(title, columns, rows)


def _reason(row: pd.Series) -> str:
    named = [optional(row[name]) for name in ("error_class", "error_message")]
    told = ": ".join(text for text in named if text)
    digest = optional(row["traceback_digest"])
    return (told or "its loss was no longer a number") + (f" (traceback {digest})" if digest else "")


def provenance_table(trials: pd.DataFrame, study: Mapping[str, object]) -> Table:
    """Where the numbers come from; a field with several values lists each with its number of trials."""
    rows = [["study", str(study.get("id", "unknown"))]]
    for name, counts in origins(trials).items():
        told = [value if len(counts) == 1 else f"{value} ({counted(n, 'trial')})" for value, n in counts.items()]
        rows.append([name.replace("_", " "), "; ".join(told)])
    rows += [[f"seeds of {purpose}", _seeds(seeds)] for purpose, seeds in seeds_by_purpose(trials).items()]
    if len(trials):
        rows.append(["training time", duration(float(trials["train_seconds"].sum()))])
        first, last = trials["started_at"].min(), trials["finished_at"].max()
        rows.append(["from, to", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"])
    return Table("", [("what", "name"), ("value", "text")], rows)


def _seeds(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:20])) + (f" and {len(seeds) - 20} more" if len(seeds) > 20 else "")


def standing(trials: pd.DataFrame) -> str:
    """How far the study is, in a sentence."""
    if trials.empty:
        return "No trial has finished yet."
    costs = cost_summary(trials)
    by_purpose = [f"{counted(int(row[STATUSES].sum()), row['purpose'] + ' trial')}" for _, row in costs.iterrows()]
    lost = int(costs["failed"].sum() + costs["diverged"].sum())
    stopped = int(costs["stopped"].sum())
    early = f"{stopped} stopped early; " if stopped else ""
    total = duration(float(costs["train_seconds"].sum()))
    return f"{', '.join(by_purpose)}; {early}{lost} failed or diverged; {total} of training."


def optional(value: object) -> str:
    """A text, or nothing where there is none."""
    return value if isinstance(value, str) else ""
