"""Cells and pairs: what is compared with what.

    cell   (dataset, teacher or None, student, arm): one arm's answer for one student
    pair   (dataset, teacher): the students under one teacher; a cell without a teacher (training from
           scratch) belongs to every pair of its data set

Rows are compared only within `COMPARABLE`: the same data, image for image, and the same schedule.

Cells and pairs are told apart by their labels, so whoever reads trials makes the labels `distinct` first:
two teachers of one architecture, or two folders of images, carry one label in the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

CELL = ["dataset", "teacher", "student", "arm"]
COMPARABLE = ["dataset", "data_fingerprint", "epochs"]
BASELINES = ("scratch", "kd")
"""The methods that every other is measured against, by name."""


class Pair(NamedTuple):
    """The students of one data set under one teacher; None where no trial had a teacher."""

    dataset: str
    teacher: str | None


def full_length(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that completed their whole schedule: only they may stand on a front."""
    return trials[(trials["status"] == "completed") & (trials["epochs_done"] == trials["epochs"])]


def with_fingerprint(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with a `data_fingerprint` each.

    A trial that failed before it had any provenance gets the one that its study's other trials on the same data
    have, so that it counts as lost where it belongs; where there is none, its fingerprint is empty.
    """
    if trials["data_fingerprint"].notna().all():
        return trials
    by_data = trials.groupby(["study", "dataset", "data_part"])["data_fingerprint"]
    only = by_data.transform("first").where(by_data.transform("nunique") == 1, "")
    return trials.assign(data_fingerprint=trials["data_fingerprint"].fillna(only).fillna("").astype("object"))


def distinct(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with labels that name one thing each.

    Where data sets (by fingerprint), or on one of them teachers (by id) or students (by settings other than the
    searched) share a label, each gets the first digits of its id: `resnet20-w16 #3fa9`.
    """
    is_teacher = trials["purpose"] == "teacher"
    dataset = _told_apart(trials["dataset"], with_fingerprint(trials)["data_fingerprint"].replace("", None))
    teacher = _told_apart(
        trials["teacher"].mask(is_teacher, trials["student"]),
        trials["teacher_id"].mask(is_teacher, trials["trial_id"]),
        dataset,
    )
    student = _told_apart(trials["student"], trials["student_part"].mask(is_teacher), dataset)
    return trials.assign(
        dataset=dataset, teacher=teacher.mask(is_teacher, None), student=student.mask(is_teacher, teacher)
    )


def _told_apart(labels: pd.Series, ids: pd.Series, *within: pd.Series) -> pd.Series:
    """Labels, with the first digits of the id where a label has several ids."""
    label, (id, known) = _numbers([*within, labels]), pd.factorize(ids)
    pairs = pd.unique(label[id >= 0] * (len(known) + 1) + id[id >= 0])
    of_pairs = pd.Series(pairs // (len(known) + 1))
    ambiguous = of_pairs[of_pairs.duplicated()]
    if ambiguous.empty:
        return labels
    several = pd.Series(np.isin(label, ambiguous), ids.index) & ids.notna() & labels.notna()
    digits = next((n for n in range(4, 16) if ids.str[:n].nunique() == ids.nunique()), 16)
    return labels.mask(several, labels + " #" + ids.str[:digits]).astype("object")


def searched_together(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials with one `student` for all that one search tried, where the student itself is searched.

    It is named after the smallest and the largest of them, and their `params` are the smallest's.
    """
    varying = trials[trials["varies_student"].astype(bool)]
    if varying.empty:
        return trials
    together = trials.copy()
    for _, members in varying.groupby(["dataset", "student_part"]):
        ordered = students_in_order(members)
        name = ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
        together.loc[members.index, "student"] = name
        together.loc[members.index, "params"] = members["params"].min()
    return together


def pairs(rows: pd.DataFrame) -> list[Pair]:
    """Every pair among the rows, in order of their names."""
    found: list[Pair] = []
    for dataset in sorted(rows["dataset"].unique()):
        of_dataset = rows[rows["dataset"] == dataset]
        teachers = sorted(of_dataset["teacher"].dropna().unique())
        found += [Pair(dataset, teacher) for teacher in teachers] or [Pair(dataset, None)]
    return found


def of_pair(rows: pd.DataFrame, pair: Pair) -> pd.DataFrame:
    """The rows that belong to a pair: its own, and those of its data set that had no teacher."""
    teacher = rows["teacher"].isna()
    if pair.teacher is not None:
        teacher |= rows["teacher"] == pair.teacher
    return rows[(rows["dataset"] == pair.dataset) & teacher]


def arms_in_order(rows: pd.DataFrame) -> list[str]:
    """The arms, baselines first and then by name, so that an arm looks the same in every figure."""
    known = rows[["arm", "method"]].drop_duplicates()
    methods = dict(zip(known["arm"], known["method"], strict=True))

    def place(arm: str) -> tuple[int, str]:
        method = methods[arm]
        return (BASELINES.index(method) if method in BASELINES else len(BASELINES), arm)

    return sorted(methods, key=place)


def students_in_order(rows: pd.DataFrame) -> list[str]:
    """The students from the smallest to the largest."""
    sizes = rows.groupby("student")["params"].min()
    return [str(student) for student in sizes.reset_index().sort_values(["params", "student"])["student"]]


def groups(rows: pd.DataFrame, by: Iterable[str]) -> list[tuple[dict[str, object], pd.DataFrame]]:
    """The rows in groups, each with its key by name; a missing teacher is a key like any other."""
    keys = list(by)
    found = []
    for key, members in rows.groupby(keys, dropna=False, sort=True):
        values = pd.Series(list(key) if isinstance(key, tuple) else [key], index=keys, dtype="object")
        found.append(({str(name): value for name, value in values.where(values.notna(), None).items()}, members))
    return found


def numbered(rows: pd.DataFrame, by: Iterable[str | int]) -> npt.NDArray[np.int64]:
    """The number of each row's group, from 0 in order of appearance; a missing value is a key like any other.

    Of one column at least. Grouping a million rows by one number takes a tenth of what it takes by eight columns.
    """
    return _numbers(rows[name] for name in by)


def _numbers(columns: Iterable[pd.Series]) -> npt.NDArray[np.int64]:
    numbers, most = np.zeros(1, dtype=np.int64), 1
    for column in columns:
        codes, known = pd.factorize(column)
        if most > 2**62 // (len(known) + 1):
            numbers, different = pd.factorize(numbers)
            most = len(different)
        numbers, most = numbers * (len(known) + 1) + codes + 1, most * (len(known) + 1)
    return pd.factorize(numbers)[0]


def microseconds(members: pd.DataFrame) -> float:
    """The median latency of one image over some trials, in microseconds; NaN where none was measured."""
    return 1e6 * float(pd.to_numeric(members["latency"]).median())
