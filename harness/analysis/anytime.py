"""Anytime: what a search had found by then, against the seconds that its devices had worked.

A device-second is a second of a trial's wall time times the share of a device that it has. Stopped, failed and
diverged trials cost and find nothing. Every replicate of a search is a curve of its own, made with that seed's values
alone: bands over the curves say how much of a lead is the search's and how much the seeds'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import CELL, numbered
from harness.analysis.configs import Searched
from harness.analysis.hypervolume import Reference, hypervolume_history

SEARCH = ["study", *CELL, "method"]
ARM = ["study", "dataset", "teacher", "arm", "method"]
MOST_STEPS = 20_000
_BEST = [*SEARCH, "params", "replicate", "configs", "device_seconds", "accuracy", "best"]
_VOLUME = [*ARM, "replicate", "configs", "device_seconds", "hypervolume"]


@dataclass(frozen=True)
class Replicates:
    """What the searches found, seed by seed."""

    configs: pd.DataFrame
    """As of `search_configs`."""
    own: npt.NDArray[np.int64]
    """The row of `configs` that each value belongs to: one whose every seed completed."""
    number: npt.NDArray[np.int64]
    """From 0, within a config, in order of the seeds."""
    accuracy: npt.NDArray[np.float64]

    @cached_property
    def searches(self) -> npt.NDArray[np.int64]:
        """A number for each value: the same for those of one search and replicate."""
        return self._numbered(SEARCH)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """The same for those of one search, replicate and size of student."""
        return self._numbered([*SEARCH, "params", "macs", "latency"])

    def _numbered(self, by: list[str]) -> npt.NDArray[np.int64]:
        most = int(self.number.max(initial=0)) + 1
        return numbered(self.configs, by)[self.own] * most + self.number


def replicates(trials: pd.DataFrame, searched: Searched) -> Replicates:
    """The values of all configs that every seed completed; `searched` is `searched_configs(trials)`."""
    columns = ["status", "epochs_done", "epochs", "seed", "validation_accuracy"]
    seeds = trials.loc[trials["purpose"] == "search", columns]
    accuracy = seeds["validation_accuracy"].to_numpy(dtype=float)
    is_done = ((seeds["status"] == "completed") & (seeds["epochs_done"] == seeds["epochs"])).to_numpy()
    is_whole = searched.configs["is_whole"].to_numpy(dtype=bool)[searched.own]
    known = np.flatnonzero(is_done & is_whole & ~np.isnan(accuracy))
    known = known[np.argsort(seeds["seed"].to_numpy()[known], kind="stable")]
    own = searched.own[known]
    number = np.asarray(pd.Series(own).groupby(own).cumcount(), dtype=np.int64)
    return Replicates(searched.configs, own, number, accuracy[known])


def best_so_far(found: Replicates) -> pd.DataFrame:
    """Per search and replicate (from 0), after each config that every seed completed: the best accuracy so far.

    `accuracy` is that replicate's on validation, `best` its maximum so far, fractions; `configs` counts from 1 all
    that ended, `device_seconds` is what all of them cost, all replicates.
    """
    values = _costed(found, SEARCH)
    best = values.groupby(numbered(values, [*SEARCH, "replicate"]), sort=False)["accuracy"].cummax()
    return values.assign(best=best)[_BEST].reset_index(drop=True)


def hypervolume_so_far(found: Replicates, reference: Reference) -> pd.DataFrame:
    """Per pair and arm and replicate, over all the pair's students together: the hypervolume's share so far.

    On validation, as of `hypervolume_share`; `configs` and `device_seconds` run over all the students' searches.
    """
    values = _costed(found, ARM).dropna(subset=list(reference.objectives))
    share = pd.Series(0.0, index=values.index)
    for _, members in values.groupby([*ARM, "replicate"], dropna=False, sort=False):
        share.loc[members.index] = hypervolume_history(reference.costs(members), reference.corner) / reference.box
    return values.assign(hypervolume=share)[_VOLUME].reset_index(drop=True)


def _costed(found: Replicates, search: list[str]) -> pd.DataFrame:
    """A row per replicate and config in order of what the search had cost when the config ended, with that cost; of
    very many those that are steps."""
    by = found.configs.groupby(numbered(found.configs, search), sort=False)
    count, seconds = (by.cumcount() + 1).to_numpy(), by["device_seconds"].cumsum().to_numpy()
    order = np.lexsort((count[found.own], seconds[found.own], found.number))
    order = order[_is_step(found, order)]
    own = found.own[order]
    joined = found.configs[[*SEARCH, "config_id", "params", "macs", "latency"]].iloc[own].reset_index(drop=True)
    return joined.assign(
        configs=count[own], device_seconds=seconds[own], accuracy=found.accuracy[order], replicate=found.number[order]
    )


def _is_step(found: Replicates, order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the values in an order count: all, or of very many those that are the best so far of their search,
    replicate and size, and the last of each search and replicate. The others move neither a best nor a hypervolume:
    something as small was as good.
    """
    if len(order) <= MOST_STEPS:
        return np.ones(len(order), dtype=bool)
    search, size = pd.Series(found.searches[order]), pd.Series(found.sizes[order])
    best = pd.Series(found.accuracy[order]).groupby(size).cummax()
    before = best.groupby(size).shift().fillna(-1.0)
    return np.asarray((found.accuracy[order] > before) | ~search.duplicated(keep="last"))


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
