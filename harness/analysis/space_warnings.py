"""What the search says of its own space: an optimum at the edge of a range, and parts where nothing good ever was.

An optimum at the edge says that better may lie beyond; a dead part that the same budget would do more without it.
Both speak of accuracy alone, so fields of the student, where accuracy buys size, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from harness.analysis.cells import groups
from harness.analysis.searched_space import Field, fields

EDGE = 0.05
"""The share of a range, in its logarithm where that is searched, that counts as its edge."""
PARTS = 4
LEAST = 5
"""Configs that a dead part must have: none of five among the better half happens by chance once in 32 parts."""
_EDGES = ["dataset", "teacher", "arm", "method", "path", "edge", "bound", "searches", "n"]
_DEAD = ["dataset", "teacher", "arm", "method", "path", "low", "high", "value", "best", "n"]


def optima_at_edges(places: pd.DataFrame, study: Mapping[str, object]) -> pd.DataFrame:
    """Per pair, arm and field, the edge (`low` or `high`, with its `bound`) at which best configs lie.

    `searches` of the pair's `n` (one a student) have their best config there; only edges with at least half of them
    are listed. A search counts with ten configs or more: of fewer the best lies anywhere.
    """
    declared = fields(study)
    whole = _without_student(places)
    tried = whole.groupby(["study", "dataset", "teacher", "student", "arm"], dropna=False)["config_id"]
    large = whole[tried.transform("nunique") >= 2 * LEAST]
    rows: list[dict[str, object]] = []
    for key, members in groups(large, ["dataset", "teacher", "arm", "method", "path"]):
        field = declared[str(key["arm"])][str(key["path"])]
        best = members.sort_values("better", kind="stable").groupby(["study", "student"]).last()["share"].dropna()
        for edge, bound, there in (("low", field.low, best <= EDGE), ("high", field.high, best >= 1 - EDGE)):
            if len(best) and there.mean() >= 0.5:
                rows.append({**key, "edge": edge, "bound": bound, "searches": int(there.sum()), "n": len(best)})
    return pd.DataFrame(rows, columns=_EDGES)


def dead_parts(places: pd.DataFrame, study: Mapping[str, object]) -> pd.DataFrame:
    """Per pair, arm and field, the quarters of a range, or the choices, of which no config was in its search's better
    half, with at least five tried.

    low, high   the quarter's bounds; NaN for a choice
    value       the choice as JSON; None for a quarter
    best        the best config there: the share of its search that it beat; `n` configs lie there
    """
    declared = fields(study)
    rows: list[dict[str, object]] = []
    for key, members in groups(_without_student(places), ["dataset", "teacher", "arm", "method", "path"]):
        field = declared[str(key["arm"])][str(key["path"])]
        inside = members[members["share"].notna()] if field.is_number else members
        part = np.minimum((inside["share"] * PARTS).astype(int), PARTS - 1) if field.is_number else inside["value"]
        for where, there in inside.groupby(part, sort=True):
            if len(there) >= LEAST and there["better"].max() < 0.5:
                rows.append({**key, **_part(field, where), "best": float(there["better"].max()), "n": len(there)})
    return pd.DataFrame(rows, columns=_DEAD).astype({"low": float, "high": float, "best": float})


def _without_student(places: pd.DataFrame) -> pd.DataFrame:
    return places[~places["path"].str.startswith("student.")]


def _part(field: Field, where: object) -> dict[str, object]:
    if field.low is None or field.high is None:
        return {"low": float("nan"), "high": float("nan"), "value": where}
    ends = [int(str(where)) / PARTS, (int(str(where)) + 1) / PARTS]
    if field.is_log:
        low, high = math.log(field.low), math.log(field.high)
        bounds = [math.exp(low + end * (high - low)) for end in ends]
    else:
        bounds = [field.low + end * (field.high - field.low) for end in ends]
    return {"low": bounds[0], "high": bounds[1], "value": None}
