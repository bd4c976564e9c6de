"""The noise floor: how far seeds alone move an accuracy, and what so many seeds can and cannot show.

The floor is the spread over seeds at a fixed config, pooled over configs: s² = Σ (nᵢ − 1) sᵢ² / Σ (nᵢ − 1).
Power is that of the t tests in `statistics`, two-sided at 5 %; "can show" means in four of five studies (power .8).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtr

from harness.analysis.cells import COMPARABLE, groups
from harness.analysis.statistics import CONFIDENCE, difference, estimate, t_quantile

POWER = 0.8
MOST_SEEDS = 10_000
"""More are never asked for: a difference that needs them is none that anybody trains for."""
_LARGE = 30.0
"""Standard errors that even two seeds show nearly always; SciPy's noncentral t is NaN from 38 on."""
_COLUMNS = [*COMPARABLE, "evidence", "student", "sd", "low", "high", "freedom", "configs", "n", "smallest"]


def noise_floors(confirmed: pd.DataFrame, configs: pd.DataFrame) -> pd.DataFrame:
    """Per comparable group and evidence (`test`: confirmed rows, `validation`: replicates of the search's configs)
    the pooled seed sd, of all students (`student` None, first) and of each.

    sd, low, high   fractions; the interval is 95 %, by χ²
    freedom         Σ (nᵢ − 1) over the `configs` that have two seeds or more
    n               seeds a config, the median
    smallest        the smallest difference of two configs' means that n seeds each show, as of `detectable`
    """
    columns = [*COMPARABLE, "evidence", "student", "sd", "n"]
    frames = [frame[columns] for frame in (confirmed, configs) if len(frame)]
    spread = pd.concat(frames) if frames else pd.DataFrame(columns=columns)
    spread = spread[(spread["n"] > 1) & spread["sd"].notna()]
    rows = [
        {**key, "student": student, **floor}
        for key, group in groups(spread, [*COMPARABLE, "evidence"])
        for student, members in _all_and_each(group)
        for floor in [_floor(members)]
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _all_and_each(group: pd.DataFrame) -> Iterator[tuple[str | None, pd.DataFrame]]:
    yield None, group
    for student, members in group.groupby("student", sort=True):
        yield str(student), members


def _floor(members: pd.DataFrame) -> dict[str, object]:
    sd, freedom = pooled_sd(members["sd"], members["n"])
    n = int(members["n"].median())
    low, high = (sd * math.sqrt(freedom / float(chdtri(freedom, tail))) for tail in (0.025, 0.975))
    return {
        "sd": sd,
        "low": low,
        "high": high,
        "freedom": freedom,
        "configs": len(members),
        "n": n,
        "smallest": detectable(sd, n),
    }


def pooled_sd(spreads: npt.ArrayLike, sizes: npt.ArrayLike) -> tuple[float, int]:
    """The pooled sd of samples of two or more, and its degrees of freedom."""
    sd, freedoms = np.asarray(spreads, dtype=float), np.asarray(sizes, dtype=int) - 1
    freedom = int(freedoms.sum())
    return math.sqrt(float(np.sum(freedoms * sd**2)) / freedom), freedom


def power(effect: float, freedom: float, confidence: float = CONFIDENCE) -> float:
    """The probability that a two-sided t test finds an effect, given in standard errors of what is tested."""
    edge = t_quantile(freedom, confidence)
    far = float(nctdtr(freedom, abs(effect), -edge))  # below 1e-8 SciPy gives NaN here and there
    return float(1 - nctdtr(freedom, abs(effect), edge)) + (0.0 if math.isnan(far) else far)


def detectable(sd: float, n: int, is_paired: bool = False, wanted: float = POWER) -> float:
    """The smallest difference that n seeds show with the wanted power.

    Of two means over n seeds each with this sd, or, paired, of a mean of n differences with this sd.
    NaN for fewer than two seeds.
    """
    if n < 2:
        return float("nan")
    freedom, error = _freedom_and_error(sd, n, is_paired)
    return error * float(brentq(lambda effect: power(effect, freedom) - wanted, 0.0, _LARGE))


def _freedom_and_error(sd: float, n: int, is_paired: bool) -> tuple[int, float]:
    return (n - 1, sd / math.sqrt(n)) if is_paired else (2 * n - 2, sd * math.sqrt(2 / n))


def seeds_needed(true: float, sd: float, is_paired: bool = True, wanted: float = POWER) -> int | None:
    """The fewest seeds (of each of two rows) that show a difference; None where 10,000 do not.

    `sd` is that of the paired differences, or of one row's seeds where they are not paired.
    """
    if sd <= 0:
        return 2

    def shows(n: int) -> bool:
        freedom, error = _freedom_and_error(sd, n, is_paired)
        return power(min(abs(true) / error, _LARGE), freedom) >= wanted

    if not shows(MOST_SEEDS):
        return None
    return bisect_left(range(MOST_SEEDS), True, lo=2, key=shows)


def more_seeds(ours: Mapping[int, float], theirs: Mapping[int, float]) -> int | None:
    """How many seeds more two rows need each, before a difference as large as theirs is shown in four of five studies.

    0 where they are told apart already, None where it cannot be said: one seed, no difference, or over 10,000.
    """
    found = difference(ours, theirs)
    if found.p is None or found.mean == 0:
        return None
    if found.p < 1 - CONFIDENCE:
        return 0
    common = sorted(set(ours) & set(theirs))
    if len(common) > 1:
        sd, is_paired = estimate([ours[seed] - theirs[seed] for seed in common]).sd or 0.0, True
    else:
        samples = [estimate(list(sample.values())) for sample in (ours, theirs)]
        sd, is_paired = pooled_sd([one.sd or 0.0 for one in samples], [one.n for one in samples])[0], False
    needed = seeds_needed(found.mean, sd, is_paired)
    return None if needed is None else max(1, needed - found.n)
