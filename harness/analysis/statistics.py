"""Means with their uncertainty: intervals, differences over common seeds, many tests at once.

Accuracies and differences are fractions, never percent. Intervals and tests are two-sided and Student's t, but for
the bootstrap's interval.
Where the sample shows no spread (one seed, or equal values) there is no interval and no p-value: t is not
defined there, and an interval of width zero would claim a certainty that nobody has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
DRAWS = 10_000
_NO_SPREAD = 1e-12
"""Accuracies are counts over at most millions of images: a smaller sd is rounding."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a sample; `sd` needs two values, the interval also a spread."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean difference, with its interval and p-value where the sample allows them."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    """Common seeds of a paired difference; the smaller sample of an unpaired one."""


def estimate(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean, sample sd (n - 1) and two-sided t interval; raises `ValueError` for no values."""
    if not values:
        raise ValueError("there is no mean of nothing")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, None, 1)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if sd < _NO_SPREAD:
        return Estimate(mean, 0.0, None, None, n)
    half = t_quantile(n - 1, confidence) * sd / math.sqrt(n)
    return Estimate(mean, sd, mean - half, mean + half, n)


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], confidence: float = CONFIDENCE
) -> Difference | None:
    """Ours minus theirs over the seeds that both have; None where they share none."""
    common = sorted(set(ours) & set(theirs))
    if not common:
        return None
    of = estimate([ours[seed] - theirs[seed] for seed in common], confidence)
    if of.sd is None or of.low is None:
        return Difference(of.mean, None, None, None, of.n)
    p = two_sided_p(of.mean / (of.sd / math.sqrt(of.n)), of.n - 1)
    return Difference(of.mean, of.low, of.high, p, of.n)


def unpaired_difference(ours: Sequence[float], theirs: Sequence[float], confidence: float = CONFIDENCE) -> Difference:
    """Ours minus theirs by Welch's t, for samples without common seeds and of unequal spread."""
    a, b = estimate(ours), estimate(theirs)
    mean, n = a.mean - b.mean, min(a.n, b.n)
    if a.sd is None or b.sd is None or a.sd + b.sd < _NO_SPREAD:
        return Difference(mean, None, None, None, n)
    va, vb = a.sd**2 / a.n, b.sd**2 / b.n
    freedom = (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))
    error = math.sqrt(va + vb)
    half = t_quantile(freedom, confidence) * error
    return Difference(mean, mean - half, mean + half, two_sided_p(mean / error, freedom), n)


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """Paired where two or more seeds are common, Welch's otherwise."""
    paired = paired_difference(ours, theirs)
    if paired is not None and paired.n > 1:
        return paired
    return unpaired_difference(list(ours.values()), list(theirs.values()))


def bootstrap_interval(
    values: Sequence[float], confidence: float = CONFIDENCE, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """The percentile bootstrap's two-sided interval of the mean; None where the sample shows no spread.

    It assumes no distribution, but of few values it is too narrow (of five, by a third): t's stands beside it.
    """
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2 or float(sample.std(ddof=1)) < _NO_SPREAD:
        return None
    n = len(sample)
    means = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws) @ sample / n
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down adjusted p-values of one family; a test that was not possible stays None."""
    tested = [(p, index) for index, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(sorted(tested)):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = largest
    return adjusted


def selection_gap(found: Sequence[float], fresh: Sequence[float]) -> Estimate | None:
    """How much a search flattered its finalists: its value minus that of fresh seeds, mean over configs.

    Both are accuracies on validation, one of each a config; a positive gap is the winner's curse.
    """
    gaps = [a - b for a, b in zip(found, fresh, strict=True) if not (math.isnan(a) or math.isnan(b))]
    return estimate(gaps) if gaps else None


def t_quantile(freedom: float, confidence: float) -> float:
    """The t that a two-sided interval of this confidence reaches to."""
    return float(stdtrit(freedom, 0.5 + confidence / 2))


def two_sided_p(t: float, freedom: float) -> float:
    """The probability of a t at least this far from zero."""
    return float(np.clip(2 * stdtr(freedom, -abs(t)), 0.0, 1.0))
