"""What the search saw: one row per config, a mean over its replicates on validation.

A validation mean is what the search selected on. It flatters whatever was selected, so it stands on fronts
of its own kind only (`evidence` = `validation`), never beside a confirmed test mean.
"""

from __future__ import annotations

import pandas as pd

from harness.analysis.cells import CELL, COMPARABLE, with_fingerprint

_COLUMNS = [
    *("study", *CELL, "method", "config_id", "proposal"),
    *("accuracy", "sd", "n", "ended", "replicates", "is_whole", "params", "macs", "latency"),
    *("train_seconds", "device_seconds", "finished_at", "evidence"),
    *COMPARABLE[1:],
]


def search_configs(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per config that the search ran, in order of its end.

    `accuracy` is the mean on validation over the `n` full-length replicates of `ended`, `sd` their sample sd; NaN
    where there is none. `is_whole` says that every replicate has a value: none diverged, failed or was stopped, and
    none was left out since the search gave the config up before. A mean over the survivors alone would flatter the
    config. `latency` is as of `microseconds`. `train_seconds` and `device_seconds` are sums over all replicates.
    """
    searched = with_fingerprint(trials[trials["purpose"] == "search"])
    is_done = (searched["status"] == "completed") & (searched["epochs_done"] == searched["epochs"])
    valued = searched.assign(
        value=searched["validation_accuracy"].astype(float).where(is_done),
        latency=1e6 * pd.to_numeric(searched["latency"]).astype(float),
    )
    by = valued.groupby(["study", *CELL, "config_id", *COMPARABLE[1:]], dropna=False, sort=False)
    table = by.agg(
        method=("method", "last"),
        proposal=("proposal", "last"),
        accuracy=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        ended=("trial_id", "size"),
        replicates=("replicates", "last"),
        params=("params", "max"),
        macs=("macs", "max"),
        latency=("latency", "median"),
        train_seconds=("train_seconds", "sum"),
        device_seconds=("device_seconds", "sum"),
        finished_at=("finished_at", "max"),
    ).reset_index()
    table["teacher"] = table["teacher"].astype("object").where(table["teacher"].notna(), None)
    replicates = table[["replicates", "ended"]].max(axis=1).astype(int)
    table = table.assign(replicates=replicates, is_whole=table["n"] == replicates, evidence="validation")
    return table[_COLUMNS].sort_values(["finished_at", "config_id"], ignore_index=True)


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
