"""Every arm against every other: paired over the seeds and students that both have, corrected together.

Each seed's accuracies are averaged over the students first, so that a family has one test per two arms. Holm's
correction is over all of a pair's comparisons; intervals are not adjusted.
"""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from harness.analysis.averaged import mean_by_seed
from harness.analysis.cells import COMPARABLE, arms_in_order, groups, of_pair, pairs
from harness.analysis.comparison import corrected, speakers
from harness.analysis.noise import detectable, more_seeds
from harness.analysis.statistics import estimate, paired_difference

_COLUMNS = [
    *(*COMPARABLE, "teacher", "arm", "other", "difference", "low", "high", "p", "p_holm", "n", "students"),
    *("verdict", "words", "smallest", "more_seeds"),
]


def pairwise(confirmed: pd.DataFrame) -> pd.DataFrame:
    """A row per pair and two arms that share a student and a seed; `arm` stands before `other` in the arms' order.

    difference, low, high   `arm` minus `other`, fractions, mean over the common `students`; the interval is 95 %
    n                       common seeds
    verdict, words          as of `comparison.corrected`
    smallest                the smallest difference that these n seeds show (power .8), as of `detectable`
    more_seeds              how many seeds more it takes to show a difference as large as this; 0 where it is shown
                            (before correction), missing where that cannot be said
    """
    rows: list[dict[str, object]] = []
    for key, comparable in groups(confirmed, COMPARABLE):
        spoken = speakers(comparable)
        for pair in pairs(spoken):
            members = of_pair(spoken, pair)
            by_arm = {arm: _by_student(members[members["arm"] == arm]) for arm in arms_in_order(members)}
            family = [
                {**key, "teacher": pair.teacher, "arm": arm, "other": other, "baseline_arm": other, **row}
                for arm, other in combinations(by_arm, 2)
                if (row := _compared(by_arm[arm], by_arm[other]))
            ]
            rows += corrected(family)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.astype({**dict.fromkeys(["low", "high", "p", "p_holm", "smallest"], float), "more_seeds": "Int64"})


def _by_student(rows: pd.DataFrame) -> dict[str, dict[int, float]]:
    firsts = rows.drop_duplicates("student")
    return dict(zip(firsts["student"], firsts["accuracies"], strict=True))


def _compared(ours: dict[str, dict[int, float]], theirs: dict[str, dict[int, float]]) -> dict[str, object] | None:
    students = sorted(set(ours) & set(theirs))
    if not students:
        return None
    mine, other = (mean_by_seed([of[student] for student in students]) for of in (ours, theirs))
    found = paired_difference(mine, other)
    if found is None:
        return None
    sd = estimate([mine[seed] - other[seed] for seed in sorted(set(mine) & set(other))]).sd
    return {
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "n": found.n,
        "students": len(students),
        "smallest": detectable(sd, found.n, is_paired=True) if sd else float("nan"),
        "more_seeds": more_seeds(mine, other),
    }
