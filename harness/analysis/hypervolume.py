"""Hypervolume: how much a front dominates, as a share of the box that the study's reference point spans.

The reference is declared (`reference: {accuracy: 0.5, params: 300000}`), never inferred: a point taken from the results
would move with them, and two runs' numbers could not be compared. Without one there is no hypervolume. The other
corner is the ideal: accuracy 1, size 0. So 1 is a perfect network of no size, and 0 a front that is nowhere better
than the reference in both. Everything here minimises, as in `pareto`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.pareto import Costs, Direction, costs

_UNITS = {"latency": 1e6}
"""A study gives seconds, tables microseconds."""
IDEAL = {"max": 1.0, "min": 0.0}
"""The best that an objective can be: an accuracy is a fraction, a size is above zero."""


@dataclass(frozen=True)
class Reference:
    """The worst point that counts, in the objectives' order, and what each of them is to be."""

    objectives: Mapping[str, Direction]
    values: tuple[float, ...]

    @property
    def corner(self) -> tuple[float, ...]:
        """The point as costs."""
        return tuple(float(cost) for cost in costs([self.values], list(self.objectives.values()))[0])

    @property
    def box(self) -> float:
        """The area between the reference and the ideal."""
        ways = self.objectives.values()
        return float(np.prod([abs(IDEAL[way] - value) for way, value in zip(ways, self.values, strict=True)]))

    def costs(self, rows: pd.DataFrame) -> Costs:
        """The rows' objectives as costs."""
        return costs(rows[list(self.objectives)].to_numpy(dtype=float), list(self.objectives.values()))


def reference_of(study: Mapping[str, object], objectives: Mapping[str, Direction]) -> Reference | None:
    """The study's declared reference for two objectives; None where it declares none for each of them."""
    declared = study.get("reference")
    named = declared if isinstance(declared, Mapping) else {}
    values = [(named.get(name), _UNITS.get(name, 1.0)) for name in objectives]
    numbers = [float(value) * unit for value, unit in values if isinstance(value, (int, float))]
    return Reference(dict(objectives), tuple(numbers)) if len(numbers) == len(objectives) == 2 else None


def hypervolume(table: Costs, reference: Sequence[float]) -> float:
    """The area that two-objective costs dominate below a reference point, exactly.

    A row that is no better than the reference in both objectives adds nothing. The unit is the product
    of the two objectives' units.
    """
    history = hypervolume_history(table, reference)
    return float(history[-1]) if len(history) else 0.0


def hypervolume_share(rows: pd.DataFrame, reference: Reference) -> float:
    """What the rows dominate of the box between the reference and the ideal; rows without a value add nothing."""
    return (
        hypervolume(reference.costs(rows.dropna(subset=list(reference.objectives))), reference.corner) / reference.box
    )


def hypervolume_history(table: Costs, reference: Sequence[float]) -> npt.NDArray[np.float64]:
    """The hypervolume after each row of two-objective costs, in their order; O(n log n).

    `xs` rise and `ys` fall: the staircase of what stands so far.
    """
    if table.shape[1] != 2:
        raise ValueError(f"hypervolume is exact for 2 objectives, not for {table.shape[1]}")
    width, height = (float(edge) for edge in reference)
    xs: list[float] = []
    ys: list[float] = []
    area, found = 0.0, np.zeros(len(table))
    for index, (x, y) in enumerate(table.tolist()):
        if x < width and y < height:
            area += _added(xs, ys, x, y, width, height)
        found[index] = area
    return found


def _added(xs: list[float], ys: list[float], x: float, y: float, width: float, height: float) -> float:
    """The area that a point adds; it takes its place in the staircase, and those that it dominates leave."""
    first = bisect_left(xs, x)
    ceiling = ys[first - 1] if first else height
    if ceiling <= y or (first < len(xs) and xs[first] == x and ys[first] <= y):
        return 0.0
    last, area, left, roof = first, 0.0, x, ceiling
    while last < len(xs) and ys[last] >= y:
        area += (xs[last] - left) * (roof - y)
        left, roof = xs[last], ys[last]
        last += 1
    area += ((xs[last] if last < len(xs) else width) - left) * (roof - y)
    xs[first:last], ys[first:last] = [x], [y]
    return area
