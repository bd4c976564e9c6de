"""Ranks of the arms over many blocks, as Demšar (2006, JMLR 7) compares classifiers over data sets.

    block      one student under one teacher, each arm's value its mean over common seeds; where there is one student
               alone, its seeds are the blocks
    Friedman   χ² (corrected for ties) over the arms' ranks within blocks: does any arm differ?
    Nemenyi    two arms differ where their average ranks do by the critical difference q √(k (k + 1) / 6 N) or more

Rank 1 is the most accurate. An arm takes part only where every other one does: a missing block would favour it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
import pandas as pd

from harness.analysis.cells import COMPARABLE, arms_in_order, groups, of_pair, pairs
from harness.analysis.comparison import speakers

Unit = Literal["student", "seed"]


@dataclass(frozen=True)
class Ranking:
    """The arms of one comparable group, the best average rank first."""

    key: dict[str, object]
    """Of `COMPARABLE`."""
    arms: tuple[str, ...]
    ranks: tuple[float, ...]
    blocks: int
    unit: Unit
    """What a block is. Seeds of one student are blocks of one problem: they say nothing of another."""
    statistic: float | None
    """Friedman's χ² with k − 1 degrees of freedom; None for two arms, or where all are equal everywhere."""
    p: float | None
    critical_difference: float
    """Nemenyi's, at 5 %, in ranks."""
    cliques: tuple[tuple[str, ...], ...]
    """The largest sets of neighbours that cannot be told apart."""


def rankings(confirmed: pd.DataFrame) -> list[Ranking]:
    """A ranking per comparable group in which two arms or more share two blocks or more."""
    found = []
    for key, members in groups(confirmed, COMPARABLE):
        table, unit = _blocks(members)
        if table.shape[0] > 1 and table.shape[1] > 1:
            found.append(_ranking(key, table, unit))
    return found


def _blocks(members: pd.DataFrame) -> tuple[pd.DataFrame, Unit]:
    """Blocks × arms of accuracies, without the blocks that an arm lacks."""
    rows = list(_cells(speakers(members)))
    fullest = [row for row in rows if len(row) == max(map(len, rows))]
    arms = sorted(set.intersection(*(set(row) for row in fullest))) if fullest else []
    shared = [(row, sorted(set.intersection(*(set(row[arm]) for arm in arms)))) for row in fullest if arms]
    kept = [(row, seeds) for row, seeds in shared if seeds]
    if len(kept) == 1:
        row, seeds = kept[0]
        return pd.DataFrame([{arm: row[arm][seed] for arm in arms} for seed in seeds], columns=arms), "seed"
    means = [{arm: fmean(row[arm][seed] for seed in seeds) for arm in arms} for row, seeds in kept]
    return pd.DataFrame(means, columns=arms), "student"


def _cells(spoken: pd.DataFrame) -> Iterator[dict[str, dict[int, float]]]:
    """Per student under a teacher, arm → seed → accuracy."""
    for pair in pairs(spoken):
        own = of_pair(spoken, pair)
        for _, rows in own.groupby("student", sort=True):
            yield {str(arm): dict(rows[rows["arm"] == arm].iloc[0]["accuracies"]) for arm in arms_in_order(rows)}


def _ranking(key: dict[str, object], table: pd.DataFrame, unit: Unit) -> Ranking:
    by_rank = table.round(12).rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    blocks, arms = table.shape
    statistic, p = friedman(table.to_numpy(dtype=float))
    reach = critical_difference(arms, blocks)
    names, ranks = tuple(map(str, by_rank.index)), tuple(map(float, by_rank))
    return Ranking(key, names, ranks, blocks, unit, statistic, p, reach, tuple(cliques(names, ranks, reach)))


def friedman(table: np.ndarray) -> tuple[float | None, float | None]:
    """Friedman's χ² over blocks × arms and its p-value; None for fewer than three arms, or where all are equal."""
    from scipy.stats import friedmanchisquare  # SciPy's statistics take half a second to import

    if table.shape[1] < 3 or (np.ptp(table, axis=1) == 0).all():
        return None, None
    found = friedmanchisquare(*np.round(table, 12).T)
    return float(found.statistic), float(found.pvalue)


def critical_difference(arms: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of average ranks; q is the studentised range's quantile over √2."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, arms, np.inf)) / math.sqrt(2)
    return q * math.sqrt(arms * (arms + 1) / (6 * blocks))


def cliques(names: tuple[str, ...], ranks: tuple[float, ...], reach: float) -> Iterator[tuple[str, ...]]:
    """The largest sets of two or more neighbours in rising ranks that lie within the reach of each other."""
    covered = 0
    for first, rank in enumerate(ranks):
        last = max(index for index, other in enumerate(ranks) if other - rank < reach)
        if last > first and last + 1 > covered:
            covered = last + 1
            yield names[first : last + 1]
