"""The front: what no other row beats on every objective at once.

Everything here minimises. Directions are translated once, by `costs`, at the edge.
Dominance as in Deb et al. 2002 (NSGA-II): no worse anywhere and better somewhere; equal rows do not
dominate each other, so that both stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import COMPARABLE

Direction = Literal["max", "min"]
Costs = npt.NDArray[np.float64]


def costs(values: npt.ArrayLike, directions: Sequence[Direction]) -> Costs:
    """Values (rows × objectives) as costs, of which less is better; raises `ValueError` for a NaN."""
    table = np.asarray(values, dtype=np.float64).reshape(-1, len(directions))
    if np.isnan(table).any():
        raise ValueError("a row without a value cannot stand on a front")
    signs = np.array([-1.0 if direction == "max" else 1.0 for direction in directions])
    return np.asarray(table * signs + 0.0)  # + 0.0 turns -0.0 into 0.0


def is_dominated(table: Costs) -> npt.NDArray[np.bool_]:
    """For every row of costs, whether another row is no worse anywhere and better somewhere.

    One or two objectives take O(n log n), more take O(n · front).
    """
    if table.shape[1] > 2:
        return _is_dominated_in_many(table)
    x, y = table[:, 0], table[:, -1]
    order = np.lexsort((y, x))
    lowest = np.minimum.accumulate(y[order])
    first = np.searchsorted(x[order], x[order], side="left")  # the first row that is as small
    before = np.where(first > 0, lowest[first - 1], np.inf)  # the least y of all that are smaller
    dominated = np.zeros(len(table), dtype=bool)
    dominated[order] = (before <= y[order]) | (y[order][first] < y[order])
    return dominated


def _is_dominated_in_many(table: Costs) -> npt.NDArray[np.bool_]:
    """In lexicographic order a row is dominated only by one before it, and then by one that stands."""
    dominated = np.zeros(len(table), dtype=bool)
    standing = np.empty((0, table.shape[1]))
    for index in np.lexsort(table.T[::-1]):
        row = table[index]
        dominated[index] = bool(((standing <= row).all(axis=1) & (standing < row).any(axis=1)).any())
        if not dominated[index]:
            standing = np.vstack([standing, row])
    return dominated


def pareto_front(rows: pd.DataFrame, objectives: Mapping[str, Direction]) -> pd.DataFrame:
    """The rows that no comparable row dominates, from the smallest size up.

    Rows are comparable within one data set, data fingerprint and schedule. Raises `ValueError` where
    `evidence` differs: a search's value on validation and a confirmed test mean never share a front.
    """
    kinds = sorted(rows["evidence"].unique())
    if len(kinds) > 1:
        raise ValueError(f"a front of {' and '.join(kinds)} values mixes two kinds of evidence")
    names = list(objectives)
    standing = []
    for _, members in rows.groupby(COMPARABLE, dropna=False, sort=True):
        table = costs(members[names].to_numpy(dtype=float), list(objectives.values()))
        best = members[~is_dominated(table)]
        order = [*COMPARABLE, *sorted(names, key=lambda name: objectives[name] == "max")]
        standing.append(best.sort_values(order, kind="stable"))
    return pd.concat(standing) if standing else rows


def objectives_of(study: Mapping[str, object], known: Sequence[str]) -> dict[str, Direction]:
    """The study's objectives among the known columns; accuracy against parameters where it names none."""
    asked = study.get("objectives")
    named: Mapping[str, Direction] = asked if isinstance(asked, Mapping) else {}
    found = {name: way for name, way in named.items() if name in known and way in ("max", "min")}
    return found if len(found) > 1 else {"accuracy": "max", "params": "min"}
