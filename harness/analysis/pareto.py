"""The front: what no other row beats on every objective at once, and how much it dominates.

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
    """For every row of costs, whether another row is no worse anywhere and better somewhere."""
    dominated = np.zeros(len(table), dtype=bool)
    for index, row in enumerate(table):
        no_worse = (table <= row).all(axis=1)
        better = (table < row).any(axis=1)
        dominated[index] = bool((no_worse & better).any())
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


def hypervolume(table: Costs, reference: Sequence[float]) -> float:
    """The area that two-objective costs dominate below a declared reference point, exactly.

    A row that is no better than the reference in both objectives adds nothing. The unit is the product
    of the two objectives' units.
    """
    if table.shape[1] != 2:
        raise ValueError(f"hypervolume is exact for 2 objectives, not for {table.shape[1]}")
    width, height = reference
    inside = table[(table[:, 0] < width) & (table[:, 1] < height)]
    area, floor = 0.0, height
    for x, y in inside[np.lexsort((inside[:, 1], inside[:, 0]))]:
        if y < floor:
            area += float((width - x) * (floor - y))
            floor = float(y)
    return area
