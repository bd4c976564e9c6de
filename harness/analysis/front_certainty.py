"""How certain the front is: each confirmed row's probability of standing on it, by a bootstrap over seeds.

A front of means says nothing of the seeds behind it. Each draw takes seeds with replacement (the same ones for all
rows that have the same seeds, so that what a seed does to all of them stays common), averages, and takes the front.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.cells import COMPARABLE, groups
from harness.analysis.pareto import Direction

DRAWS = 2000
_BLOCK = 4_000_000
"""Numbers that are held at a time."""


def with_front_probability(
    confirmed: pd.DataFrame, objectives: Mapping[str, Direction], draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """The confirmed rows with `on_front`: the share of draws in which no comparable row dominates them.

    NaN for a row without a size, and where any row of its group has one seed: nothing says how it varies.
    `seed` draws the seeds, so that equal records have equal probabilities.
    """
    size = next(name for name, way in objectives.items() if way == "min")
    found = pd.Series(np.nan, index=confirmed.index, dtype=float)
    sized = confirmed.dropna(subset=[size])
    for _, members in groups(sized, COMPARABLE):
        if (members["n"] > 1).all():
            means = resampled_means(list(members["accuracies"]), draws, seed)
            found.loc[members.index] = front_share(means, members[size].to_numpy(dtype=float))
    return confirmed.assign(on_front=found)


def resampled_means(samples: list[Mapping[int, float]], draws: int, seed: int) -> npt.NDArray[np.float64]:
    """Bootstrapped means (draws × samples) of seed → value; samples over the same seeds share their draws."""
    rng = np.random.default_rng(seed)
    means = np.empty((draws, len(samples)))
    by_seeds: dict[tuple[int, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        by_seeds.setdefault(tuple(sorted(sample)), []).append(index)
    for seeds, places in sorted(by_seeds.items()):
        values = np.array([[samples[place][one] for one in seeds] for place in places])
        means[:, places] = rng.multinomial(len(seeds), [1 / len(seeds)] * len(seeds), draws) @ values.T / len(seeds)
    return means


def front_share(means: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Per row, the share of draws (draws × rows of accuracies) in which no other row dominates it."""
    order = np.argsort(sizes, kind="stable")
    ranked = sizes[order]
    first = np.searchsorted(ranked, ranked, side="left")
    last = np.searchsorted(ranked, ranked, side="right") - 1
    counts = np.zeros(len(sizes))
    step = max(1, _BLOCK // max(1, len(sizes)))
    for start in range(0, len(means), step):
        values = np.round(means[start : start + step, order], 12)  # sums in another order round differently
        best = np.maximum.accumulate(values, axis=1)
        smaller = np.where(first > 0, best[:, first - 1], -np.inf)  # the best of all that are smaller
        counts[order] += ((values > smaller) & (values >= best[:, last])).sum(axis=0)
    return counts / len(means)
