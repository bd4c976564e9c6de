"""A published row as plain facts: everything that it claims, in the units of the records, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import pandas as pd

from harness.report.record import Record
from harness.store.verified import Verification


def facts(record: Record) -> list[dict[str, object]]:
    """Every row of the record, by study and then best first."""
    ranks: dict[object, dict[str, int]] = {}
    for board in record.boards():
        for index, rank in board.rows["rank"].items():
            ranks.setdefault(index, {})[board.lane.id] = int(rank)
    return [_facts(row, ranks[index], record.verified(row)) for index, row in _in_order(record.rows)]


def _in_order(rows: pd.DataFrame) -> list[tuple[object, pd.Series]]:
    if rows.empty:
        return []
    return list(rows.sort_values(["study", "accuracy", "config_id"], ascending=[True, False, True]).iterrows())


def _facts(row: pd.Series, ranks: Mapping[str, int], verified: Verification | None) -> dict[str, object]:
    accuracies = cast(Mapping[int, float], row["accuracies"])
    return {
        "row": row["config_id"],
        **{name: _plain(row[name]) for name in ("study", "dataset", "teacher", "student", "arm", "method")},
        "lanes": [{"lane": lane, "rank": rank} for lane, rank in ranks.items()],
        **{name: _plain(row[name]) for name in ("accuracy", "sd", "low", "high", "n", "lost", "looks")},
        "seeds": [
            {"seed": seed, "accuracy": accuracy, "weights": row["weights"].get(seed)}
            for seed, accuracy in accuracies.items()
        ],
        **{name: _plain(row[name]) for name in ("validation", "params", "macs", "latency", "train_seconds")},
        **{name: _plain(row[name]) for name in ("tuning_trials", "tuning_seconds", "epochs", "test_images")},
        **{name: row[name] for name in ("data_fingerprint", "teacher_digest")},
        "versions": dict(row["versions"]),
        "verified": None
        if verified is None
        else {name: getattr(verified, name) for name in ("level", "date", "holds", "drift", "said", "seeds")},
        "trial": row["trial_id"],
    }


def _plain(value: object) -> object:
    """A value as JSON has it: no NumPy, null for what is missing, and ten digits of what another machine may round."""
    plain = value.item() if hasattr(value, "item") else value
    if not isinstance(plain, float):
        return plain
    return None if math.isnan(plain) else float(f"{plain:.10g}")
