"""Attainment: what an arm reaches in a quarter, a half and three quarters of its seeds.

The empirical attainment function of Fonseca, da Fonseca and Paquete (2005): each seed's confirmed students are one
front, and the surface at a level is the edge of what at least that share of the seeds' fronts dominate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import COMPARABLE, groups, of_pair, pairs
from harness.analysis.pareto import Direction

LEVELS = (0.25, 0.5, 0.75)
_COLUMNS = [*COMPARABLE, "teacher", "arm", "method", "level", "size", "accuracy", "n"]


def attainment(
    confirmed: pd.DataFrame, objectives: Mapping[str, Direction], levels: Sequence[float] = LEVELS
) -> pd.DataFrame:
    """Per pair, arm and level the steps of its surface, from the smallest size up.

    From `size` (the objective that is minimised) up to the next row's, `accuracy` (a fraction) or more is reached
    in a share of at least `level` of the `n` seeds that all of the arm's rows have. An arm with fewer than two such
    seeds has no surface. An arm without a teacher stands under each pair of its data set.
    """
    size = next(name for name, way in objectives.items() if way == "min")
    rows: list[dict[str, object]] = []
    for key, comparable in groups(confirmed.dropna(subset=[size]), COMPARABLE):
        for pair in pairs(comparable):
            for arm, members in of_pair(comparable, pair).groupby("arm", sort=True):
                names = {**key, "teacher": pair.teacher, "arm": arm, "method": members["method"].iloc[0]}
                rows += [{**names, **step} for step in _steps(members, size, levels)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _steps(members: pd.DataFrame, size: str, levels: Sequence[float]) -> list[dict[str, object]]:
    samples = list(members["accuracies"])
    seeds = sorted(set.intersection(*(set(sample) for sample in samples)))
    if len(seeds) < 2:
        return []
    accuracies = np.array([[sample[seed] for seed in seeds] for sample in samples])
    found: list[dict[str, object]] = []
    for level in levels:
        surface = attained(members[size].to_numpy(dtype=float), accuracies, level)
        found += [{"level": level, "size": x, "accuracy": y, "n": len(seeds)} for x, y in surface]
    return found


def attained(
    sizes: npt.NDArray[np.float64], accuracies: npt.NDArray[np.float64], level: float
) -> list[tuple[float, float]]:
    """The surface of points (one size each, accuracies points × seeds) as corners (size, accuracy), both rising."""
    order = np.argsort(sizes, kind="stable")
    best = np.maximum.accumulate(accuracies[order], axis=0)
    seeds = accuracies.shape[1]
    place = seeds - max(1, math.ceil(level * seeds - 1e-9))
    reached = np.sort(best, axis=1)[:, place]
    corners: list[tuple[float, float]] = []
    for x, y in zip(sizes[order].tolist(), reached.tolist(), strict=True):
        if corners and y <= corners[-1][1]:
            continue
        if corners and corners[-1][0] == x:
            corners.pop()
        corners.append((x, y))
    return corners
