"""What failed or diverged: where, after how many epochs, at what cost, and why."""

from __future__ import annotations

import pandas as pd

from harness.analysis.cost import failures
from harness.analysis.wording import duration
from harness.report.content import optional
from harness.report.table import Kind, Row, Table, amount, text

_MOST = 500
_COLUMNS: list[tuple[str, Kind]] = [
    *(("trial", "code"), ("what", "name"), ("where", "text"), ("epochs", "number"), ("lost", "number")),
    ("reason", "text"),
]


def failure_table(trials: pd.DataFrame) -> Table:
    """The costliest first, and not more than anybody reads."""
    lost = failures(trials)
    title = f"The costliest {_MOST} of {len(lost)}" if len(lost) > _MOST else ""
    costliest = lost.head(_MOST)
    own = trials.loc[trials["trial_id"].isin(costliest["trial_id"]), ["trial_id", "config_id"]]
    configs = dict(zip(own["trial_id"], own["config_id"], strict=True))
    rows = [_row(row, configs[row["trial_id"]]) for _, row in costliest.iterrows()]
    return Table("failures", title, _COLUMNS, rows, lost)


def _row(row: pd.Series, config: str) -> Row:
    cells = [
        text(row["trial_id"]),
        text(f"{row['status']} {row['purpose']}"),
        text(f"{row['arm']}, {row['student']} on {row['dataset']}, seed {row['seed']}"),
        amount(f"{row['epochs_done']} of {row['epochs']}", row["epochs_done"]),
        amount(duration(row["train_seconds"]), row["train_seconds"]),
        text(_reason(row)),
    ]
    return Row(cells, "" if row["purpose"] == "teacher" else config)


def _reason(row: pd.Series) -> str:
    named = [optional(row[name]) for name in ("error_class", "error_message")]
    told = ": ".join(name for name in named if name)
    digest = optional(row["traceback_digest"])
    return (told or "its loss was no longer a number") + (f" (traceback {digest})" if digest else "")
