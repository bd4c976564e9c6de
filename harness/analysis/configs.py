"""What the search saw: one row per config, a mean over its replicates on validation.

A validation mean is what the search selected on. It flatters whatever was selected, so it stands on fronts
of its own kind only (`evidence` = `validation`), never beside a confirmed test mean.
"""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import CELL, COMPARABLE, full_length, groups, microseconds, with_fingerprint

_COLUMNS = [
    *("study", *CELL, "method", "config_id", "proposal"),
    *("accuracy", "n", "ended", "replicates", "is_whole", "params", "macs", "latency"),
    *("train_seconds", "finished_at", "evidence"),
    *COMPARABLE[1:],
]


def search_configs(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per config that the search ran, in order of its end.

    `accuracy` is the mean on validation over the `n` full-length replicates of `ended`; NaN where there is
    none. `is_whole` says that every replicate has a value: none diverged, failed or was stopped, and none was
    left out since the search gave the config up before. A mean over the survivors alone would flatter the
    config. `latency` is as of `microseconds`. `train_seconds` is the sum over all replicates.
    """
    searched = with_fingerprint(trials[trials["purpose"] == "search"])
    rows = [_config(members) for _, members in groups(searched, ["study", *CELL, "config_id", *COMPARABLE[1:]])]
    return pd.DataFrame(rows, columns=_COLUMNS).sort_values(["finished_at", "config_id"], ignore_index=True)


def _config(members: pd.DataFrame) -> dict[str, object]:
    done = full_length(members)
    valued = done[done["validation_accuracy"].notna()]
    last = members.iloc[-1]
    return {
        **{name: last[name] for name in ["study", *CELL, "method", "config_id", "proposal", *COMPARABLE[1:]]},
        "accuracy": float(valued["validation_accuracy"].mean()) if len(valued) else float("nan"),
        "n": len(valued),
        "ended": len(members),
        "replicates": max(int(last["replicates"]), len(members)),
        "is_whole": len(valued) == max(int(last["replicates"]), len(members)),
        "params": int(members["params"].max()),
        "macs": int(members["macs"].max()),
        "latency": microseconds(members),
        "train_seconds": float(members["train_seconds"].sum()),
        "finished_at": members["finished_at"].max(),
        "evidence": "validation",
    }


def whole_configs(configs: pd.DataFrame) -> pd.DataFrame:
    """The configs whose every replicate has a value: the ones that may stand on a validation front."""
    return configs[configs["is_whole"].astype(bool)]


def readable_floor(confirmed: pd.DataFrame, searched: pd.DataFrame) -> tuple[float, int]:
    """The accuracy from which a figure may begin, and how many search configs lie below it.

    A few configs that learned nothing would squeeze all others into a line: the floor is the lowest
    confirmed interval or the tenth percentile of the search, whichever is lower.
    """
    values = searched["accuracy"].dropna().astype(float)
    ends = pd.concat([confirmed["low"], confirmed["accuracy"]]).dropna().astype(float)
    lowest = min([*ends, *([float(values.quantile(0.1))] if len(values) else [])], default=0.0)
    return lowest, int((values < lowest).sum())
