"""Anytime: what a search had found by then, against the seconds that its devices had worked.

A device-second is a second of a trial's wall time times the share of a device that it has. Stopped, failed and
diverged trials cost and find nothing. Every replicate of a search is a curve of its own, made with that seed's values
alone: bands over the curves say how much of a lead is the search's and how much the seeds'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import CELL, full_length, numbered
from harness.analysis.configs import search_configs, whole_configs
from harness.analysis.hypervolume import Reference, hypervolume_history

SEARCH = ["study", *CELL, "method"]
ARM = ["study", "dataset", "teacher", "arm", "method"]
MOST_STEPS = 20_000
_ONE = ["study", *CELL, "config_id"]
_BEST = [*SEARCH, "params", "replicate", "configs", "device_seconds", "accuracy", "best"]
_VOLUME = [*ARM, "replicate", "configs", "device_seconds", "hypervolume"]


def best_so_far(trials: pd.DataFrame, configs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Per search and replicate (from 0), after each config that every seed completed: the best accuracy so far.

    `configs` is `search_configs(trials)`, where that is known.

    `accuracy` is that replicate's on validation, `best` its maximum so far, fractions; `configs` counts from 1 all
    that ended, `device_seconds` is what all of them cost, all replicates.
    """
    values = _values(trials, configs, SEARCH)
    best = values.groupby(numbered(values, [*SEARCH, "replicate"]), sort=False)["accuracy"].cummax()
    return values.assign(best=best)[_BEST].reset_index(drop=True)


def hypervolume_so_far(trials: pd.DataFrame, reference: Reference, configs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Per pair and arm and replicate, over all the pair's students together: the hypervolume's share so far.

    On validation, as of `hypervolume_share`; `configs` and `device_seconds` run over all the students' searches.
    """
    values = _values(trials, configs, ARM).dropna(subset=list(reference.objectives))
    found = pd.Series(0.0, index=values.index)
    for _, members in values.groupby([*ARM, "replicate"], dropna=False, sort=False):
        found.loc[members.index] = hypervolume_history(reference.costs(members), reference.corner) / reference.box
    return values.assign(hypervolume=found)[_VOLUME].reset_index(drop=True)


def _values(trials: pd.DataFrame, configs: pd.DataFrame | None, search: list[str]) -> pd.DataFrame:
    """A row per config and replicate in order of the config's end, with what its search had cost by then."""
    configs = search_configs(trials) if configs is None else configs
    by = configs.groupby(numbered(configs, search), sort=False)
    costed = configs.assign(configs=by.cumcount() + 1, device_seconds=by["device_seconds"].cumsum())
    kept = whole_configs(costed)[[*SEARCH, "config_id", "params", "macs", "latency", "configs", "device_seconds"]]
    columns = [*_ONE, "purpose", "status", "epochs_done", "epochs", "seed", "validation_accuracy"]
    done = full_length(trials[columns])
    seeds = done[done["purpose"] == "search"].sort_values("seed", kind="stable")
    own = _place_of_each(kept, seeds)
    replicate = np.asarray(pd.Series(own).groupby(own).cumcount(), dtype=np.int64)
    accuracy = seeds["validation_accuracy"].to_numpy(dtype=float)
    known = np.flatnonzero((own >= 0) & ~np.isnan(accuracy))
    own, replicate, accuracy = own[known], replicate[known], accuracy[known]
    seconds, count = (kept[name].to_numpy()[own] for name in ("device_seconds", "configs"))
    order = np.lexsort((count, seconds, replicate))
    order = order[_is_step(kept, own[order], replicate[order], accuracy[order])]
    joined = kept.iloc[own[order]].assign(accuracy=accuracy[order], replicate=replicate[order])
    return joined.reset_index(drop=True)


def _is_step(
    configs: pd.DataFrame,
    own: npt.NDArray[np.int64],
    replicate: npt.NDArray[np.int64],
    accuracy: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Which values count: all, or of very many those that are the best so far of their search, replicate and size,
    and the last of each search. The others move neither a best nor a hypervolume: something as small was as good.
    """
    if len(own) <= MOST_STEPS:
        return np.ones(len(own), dtype=bool)
    most = int(replicate.max()) + 1
    search, size = (
        pd.Series(numbered(configs, by)[own] * most + replicate)
        for by in (SEARCH, [*SEARCH, "params", "macs", "latency"])
    )
    best = pd.Series(accuracy).groupby(size).cummax()
    before = best.groupby(size).shift().fillna(-1.0)
    return np.asarray((accuracy > before) | ~search.duplicated(keep="last"))


def _place_of_each(configs: pd.DataFrame, trials: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The row of each trial's config; −1 where it is none of them."""
    if configs["config_id"].is_unique:
        return np.asarray(pd.Index(configs["config_id"]).get_indexer(pd.Index(trials["config_id"])))
    number = numbered(pd.concat([configs[_ONE], trials[_ONE]], ignore_index=True), _ONE)
    places = pd.Series(np.arange(len(configs)), index=number[: len(configs)])
    return places.reindex(number[len(configs) :]).fillna(-1).to_numpy(dtype=np.int64)


def bands(curves: pd.DataFrame, value: str, by: Sequence[str], points: int = 200) -> pd.DataFrame:
    """Median and quartiles of step curves at evenly spaced device-seconds; columns `by`, device_seconds, median,
    low, high, n.

    A curve is one search and replicate: what `curves` has in its key columns besides `by`. It has no value before its
    first config, and after its last it keeps its last. `n` is how many curves have a value at that time.
    """
    keys = [name for name in [*SEARCH, "replicate"] if name in curves.columns]
    rows = []
    for key, members in curves.groupby(list(by), dropna=False, sort=True):
        grid = np.linspace(float(members["device_seconds"].min()), float(members["device_seconds"].max()), points)
        each = members[["device_seconds", value]].groupby(numbered(members, keys), sort=False)
        table = np.array([_at(one["device_seconds"].to_numpy(), one[value].to_numpy(), grid) for _, one in each])
        low, median, high = pd.DataFrame(table).quantile([0.25, 0.5, 0.75]).to_numpy()
        names = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        n = (~np.isnan(table)).sum(axis=0)
        band = {"device_seconds": grid, "median": median, "low": low, "high": high, "n": n}
        rows.append(pd.DataFrame({**{name: [value] * points for name, value in names.items()}, **band}))
    columns = [*by, "device_seconds", "median", "low", "high", "n"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def _at(seconds: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """A step curve's value at each time of a grid; NaN before its first step."""
    place = np.searchsorted(seconds, grid, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)
