"""Averaged over students: what an arm gains over a baseline, one number a seed, whatever the student.

A single student's five seeds seldom tell two arms apart. Averaging each seed's accuracies over the students
first asks the study's question once instead of once a student, and the pairing over seeds stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import pandas as pd

from harness.analysis.cells import COMPARABLE
from harness.analysis.comparison import corrected
from harness.analysis.statistics import paired_difference
from harness.analysis.wording import counted

FAMILY = [*COMPARABLE, "baseline"]


def averaged(confirmed: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """A row per pair, arm and baseline that share at least two students; columns as of `differences`.

    The comparisons with one baseline are a Holm family of their own. `student` says how many were averaged,
    `params` is above all of theirs so that the row stands last.
    """
    accuracies = {str(row["config_id"]): row["accuracies"] for _, row in confirmed.iterrows()}
    rows: list[dict[str, object]] = []
    for _, family in compared.groupby(FAMILY, dropna=False, sort=False):
        found = []
        for _, members in family.groupby(["teacher", "arm", "baseline_arm"], dropna=False, sort=False):
            if members["student"].nunique() > 1:
                row = _mean_row(members, accuracies)
                found += [row] if row else []
        rows += corrected(found)
    return pd.DataFrame(rows, columns=compared.columns)


def _mean_row(members: pd.DataFrame, accuracies: Mapping[str, Mapping[int, float]]) -> dict[str, object] | None:
    ours, base = (
        mean_by_seed([accuracies[config] for config in members[column]])
        for column in ("config_id", "baseline_config_id")
    )
    of = paired_difference(ours, base)
    if of is None:
        return None
    return {
        **{str(name): value for name, value in members.iloc[0].items()},
        "student": f"mean of {counted(len(members), 'student')}",
        "params": int(members["params"].max()) + 1,
        "difference": of.mean,
        "low": of.low,
        "high": of.high,
        "p": of.p,
        "n": of.n,
        "config_id": None,
        "baseline_config_id": None,
    }


def mean_by_seed(students: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Seed → mean over the students, for the seeds that all of them have."""
    common = set.intersection(*(set(of_student) for of_student in students))
    return {seed: fmean(of_student[seed] for of_student in students) for seed in sorted(common)}
