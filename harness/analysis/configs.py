"""What the search saw: one row per config, a mean over its replicates on validation.

A validation mean is what the search selected on. It flatters whatever was selected, so it stands on fronts
of its own kind only (`evidence` = `validation`), never beside a confirmed test mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import CELL, COMPARABLE, numbered, with_fingerprint

MOST_SHOWN = 5_000
"""Configs in a figure or a register: more cannot be told apart, and a page with them no longer reacts at once."""
_COLUMNS = [
    *("study", *CELL, "method", "config_id", "proposal"),
    *("accuracy", "sd", "n", "ended", "replicates", "is_whole", "params", "macs", "latency"),
    *("train_seconds", "device_seconds", "finished_at", "evidence"),
    *COMPARABLE[1:],
    "point",
]
_READ = [
    *("study", *CELL, "method", "config_id", "proposal", "replicates", "status", "epochs_done", *COMPARABLE[1:]),
    *("data_part", "validation_accuracy", "latency", "params", "macs", "train_seconds", "device_seconds"),
    *("finished_at", "point"),
]


@dataclass(frozen=True)
class Searched:
    """What a run's search trials come to, config by config."""

    configs: pd.DataFrame
    """As of `search_configs`."""
    own: npt.NDArray[np.int64]
    """The row of `configs` that each search trial belongs to, in the trials' order."""


def search_configs(trials: pd.DataFrame) -> pd.DataFrame:
    """One row per config that the search ran, in order of its end.

    `accuracy` is the mean on validation over the `n` full-length replicates of `ended`, `sd` their sample sd; NaN
    where there is none. `is_whole` says that every replicate has a value: none diverged, failed or was stopped, and
    none was left out since the search gave the config up before. A mean over the survivors alone would flatter the
    config. `latency` is as of `microseconds`. `train_seconds` and `device_seconds` are sums over all replicates.
    `point` is what the search chose, path → JSON.
    """
    return searched_configs(trials).configs


def searched_configs(trials: pd.DataFrame) -> Searched:
    """The configs, and which of them each search trial belongs to."""
    searched = with_fingerprint(trials.loc[trials["purpose"] == "search", _READ])
    is_done = (searched["status"] == "completed") & (searched["epochs_done"] == searched["epochs"])
    keys = ["study", *CELL, "config_id", *COMPARABLE[1:]]
    number = numbered(searched, ["study", *CELL, *COMPARABLE[1:], "config_id"])
    value = searched["validation_accuracy"].astype(float).where(is_done)
    columns = {
        "value": value,
        "latency": 1e6 * pd.to_numeric(searched["latency"]).astype(float),
        **{name: searched[name] for name in ["params", "macs", "train_seconds", "device_seconds", "finished_at"]},
    }
    by = pd.DataFrame(columns).groupby(number, sort=True)
    sums, counts = by[["value", "train_seconds", "device_seconds"]].sum(), by["value"].count()
    most = by[["params", "macs", "finished_at"]].max()
    last = _last_of_each(number)
    ends = most.assign(config_id=searched["config_id"].to_numpy()[last])
    in_order = np.asarray(
        ends.sort_values(["finished_at"] if ends["finished_at"].is_unique else ["finished_at", "config_id"]).index
    )
    labelled = searched[[*keys, "method", "proposal", "replicates", "point"]].iloc[last[in_order]]
    table = labelled.set_axis(in_order).assign(
        **{str(name): most[name] for name in most},
        accuracy=by["value"].mean(),
        sd=by["value"].std(),
        n=counts,
        ended=by.size(),
        latency=by["latency"].median() if columns["latency"].notna().any() else np.nan,
        train_seconds=sums["train_seconds"],
        device_seconds=sums["device_seconds"],
    )
    table["teacher"] = table["teacher"].astype("object").where(table["teacher"].notna(), None)
    replicates = table[["replicates", "ended"]].max(axis=1).astype(int)
    table = table.assign(replicates=replicates, is_whole=table["n"] == replicates, evidence="validation")
    return Searched(table[_COLUMNS].reset_index(drop=True), np.argsort(in_order)[number])


def _last_of_each(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The last row of each group, the groups in order of their numbers."""
    last = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    last[numbers] = np.arange(len(numbers))
    return last


def whole_configs(configs: pd.DataFrame) -> pd.DataFrame:
    """The configs whose every replicate has a value: the ones that may stand on a validation front."""
    return configs[configs["is_whole"].astype(bool)]


def shown(configs: pd.DataFrame, most: int = MOST_SHOWN) -> pd.DataFrame:
    """All configs, or of more than so many the best half of `most`, each search in its share, and an even choice of
    the others: what a reader can tell apart, in the same order."""
    if len(configs) <= most:
        return configs
    number = numbered(configs, ["study", *CELL])
    place = configs["accuracy"].fillna(-1.0).groupby(number).rank(ascending=False, method="first")
    size = place.groupby(number).transform("size")
    best = place <= np.ceil(most / 2 * size / len(configs))
    others = configs.index[~best]
    even = others[np.linspace(0, len(others) - 1, max(0, most - int(best.sum()))).round().astype(int)]
    kept: pd.DataFrame = configs[best | configs.index.isin(even)]
    return kept


def readable_floor(confirmed: pd.DataFrame, searched: pd.DataFrame) -> tuple[float, int]:
    """The accuracy from which a figure may begin, and how many search configs lie below it.

    A few configs that learned nothing would squeeze all others into a line: the floor is the lowest
    confirmed interval or the tenth percentile of the search, whichever is lower.
    """
    values = searched["accuracy"].dropna().astype(float)
    ends = pd.concat([confirmed["low"], confirmed["accuracy"]]).dropna().astype(float)
    lowest = min([*ends, *([float(values.quantile(0.1))] if len(values) else [])], default=0.0)
    return lowest, int((values < lowest).sum())
